"""What is the cluster's own is known to the guard, and stays known while it cannot be read."""

import pytest

from analyzer.addresses import Guard
from analyzer.loop.neighbours import Neighbours
from canary.model.values import Json
from runtime.errors import Forbidden
from runtime.resources import ENDPOINTSLICES, PODS, SERVICES, Resource
from tests.fakes.stored import Stored

SYSTEM = "headgate-system"
NODE = {"ip": "192.168.7.3"}


def named(namespace: str, name: str, **rest: Json) -> Json:
    return {"metadata": {"namespace": namespace, "name": name}, **rest}


def cluster() -> Stored:
    stored = Stored()
    objects: tuple[tuple[Resource, Json], ...] = (
        (SERVICES, named("default", "kubernetes", spec={"clusterIPs": ["10.96.0.1", "fd00::1"]})),
        (SERVICES, named(SYSTEM, "headgate-webhook", spec={"clusterIPs": ["10.96.0.9"]})),
        (SERVICES, named(SYSTEM, "headless", spec={"clusterIPs": ["None"]})),
        (SERVICES, named("prod", "web", spec={"clusterIPs": ["10.96.0.20"]})),
        (PODS, named(SYSTEM, "webhook", spec={}, status={"podIPs": [{"ip": "10.0.0.4"}]})),
        (PODS, named(SYSTEM, "starting", spec={}, status={})),
        (PODS, named(SYSTEM, "ended", spec={}, status={"phase": "Failed", "podIPs": [NODE]})),
        (PODS, named(SYSTEM, "host", spec={"hostNetwork": True}, status={"podIPs": [NODE]})),
        (PODS, named("prod", "web", spec={}, status={"podIPs": [{"ip": "10.0.0.5"}]})),
    )  # fmt: skip
    for resource, obj in objects:
        stored.put(resource, obj)
    endpoints = named("default", "kubernetes")
    endpoints["metadata"]["labels"] = {"kubernetes.io/service-name": "kubernetes"}
    endpoints |= {"ports": [{"port": 6443}], "endpoints": [{"addresses": ["192.168.7.2"]}]}
    stored.put(ENDPOINTSLICES, endpoints)
    return stored


async def test_services_pods_and_the_api_server_are_learned() -> None:
    guard = Guard()

    await Neighbours(cluster(), guard, SYSTEM).look()

    assert guard.own == {
        *(("10.96.0.1", None), ("fd00::1", None), ("10.96.0.9", None)),
        *(("10.0.0.4", None), ("192.168.7.2", 6443)),
    }


async def test_what_cannot_be_read_stays_as_it_was() -> None:
    guard, stored = Guard(), cluster()
    neighbours = Neighbours(stored, guard, SYSTEM)
    await neighbours.look()
    known = guard.own
    stored.denials["list", "pods"] = Forbidden(403, "Forbidden", "no")

    with pytest.raises(Forbidden):
        await neighbours.look()

    assert guard.own == known
