"""Calls of gRPC through a real gateway, as a GRPCRoute shares them.

The versions are the demo app's, each behind an Envoy of its pod that speaks gRPC for it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import grpc.aio
import pytest
import yaml

from analyzer.routers.adopted import AdoptedRoutes
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from runtime.resources import GRPCROUTES
from sandbox.images import ENVOY_IMAGE
from tests.cluster.both_versions import (
    AT_MOST,
    CANARY,
    STABLE,
    STRATEGY,
    deployed,
    plain_app,
)
from tests.cluster.kit import Kubectl, route, service
from tests.cluster.runtime_kit import own_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("undisturbed")]
PORT: Final = 9000
METHOD: Final = "/shop.Cart/Get"
CALLS: Final = 400
_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_BRIDGE = "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3.FilterConfig"
_BUFFER = "envoy.extensions.filters.http.buffer.v3.Buffer"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_APIS = "type.googleapis.com/"


def _at(port: int, host: str) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _filter(name: str, kind: str, **settings: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_APIS}{kind}", **settings}}


def speaking_grpc() -> str:
    """Return what an Envoy is told that takes calls and asks an app of HTTP/1.1 beside it."""
    bridge = _filter(
        "bridge", _BRIDGE, content_type="text/plain; charset=utf-8", withhold_grpc_frames=True
    )
    # The app reads lengths and no chunks.
    buffer = _filter("buffer", _BUFFER, max_request_bytes=4096)
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "prefix_rewrite": "/"}}]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    http = _filter(
        "http",
        _HTTP,
        stat_prefix="calls",
        codec_type="HTTP2",
        route_config={"virtual_hosts": hosts},
        http_filters=[bridge, buffer, _filter("router", _ROUTER)],
    )
    endpoint = {"endpoint": {"address": _at(8080, "127.0.0.1")}}
    assignment = {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]}
    listener = {"address": _at(PORT, "0.0.0.0"), "filter_chains": [{"filters": [http]}]}  # noqa: S104 - in a pod
    cluster = {"name": "app", "type": "STATIC", "load_assignment": assignment}
    return yaml.safe_dump({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


def behind_grpc(image: str, name: str) -> Json:
    """Return a version of the demo app that takes calls of gRPC."""
    made = plain_app(image, name)
    envoy = {
        "name": "grpc",
        "image": ENVOY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--config-yaml", speaking_grpc(), "--concurrency", "1", "--log-level", "warning"],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
    }
    made["spec"]["template"]["spec"]["containers"].append(envoy)
    return made


def of_grpc(name: str) -> Json:
    made = service(name)
    made["spec"]["ports"] = [{"name": "grpc", "port": 80, "targetPort": PORT}]
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A namespace with both versions and a GRPCRoute."""

    router: AdoptedRoutes
    key: Key
    kubectl: Kubectl
    call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"

    async def calls(self, number: int) -> Counter[str]:
        """Call so many times and return how many answers came from which version."""
        return Counter([(await self.call(b"", timeout=10)).decode().strip() for _ in range(number)])

    async def until(self, traffic: Traffic, seen: set[str]) -> None:
        """Write a split and wait until these versions answer, and the gateway's word of it."""
        await self.router.write_split(self.key, STRATEGY, traffic)
        async with asyncio.timeout(AT_MOST):
            while not (await self.router.read_split(self.key, STRATEGY)).confirmed:  # noqa: ASYNC110 - a gateway tells nobody
                await asyncio.sleep(0.2)
            # Contour says its word a moment before its proxy follows.
            while await self._answering() != seen:  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def _answering(self) -> set[str]:
        """Return who answers sixty calls, none where the gateway does not know the route yet."""
        try:
            return set(await self.calls(60))
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE}:
                raise
            return set()


@dataclass(slots=True)
class Caller:
    """Somebody who calls all the time."""

    seen: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    async def go_on(self, shop: Shop) -> None:
        """Call until it is cancelled."""
        while True:
            try:
                self.seen += await shop.calls(1)
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{error.code()}: {error.details()}")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def calling(shop: Shop) -> AsyncIterator[Caller]:
    """Have somebody call while the block runs."""
    caller = Caller()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(caller.go_on(shop))
        yield caller
        task.cancel()


@pytest.fixture
async def shop(cluster_kubeconfig: Path, admin: Kubectl, gateway: str) -> AsyncIterator[Shop]:
    """Return a namespace in which all calls are the stable's."""
    async with (
        own_namespace(cluster_kubeconfig) as (cluster, name),
        through(gateway, f"{name}.example") as call,
    ):
        kubectl = admin.within(name)
        made = {**route(f"{name}.example"), "kind": "GRPCRoute"}
        stored = await deployed(
            cluster, kubectl, GRPCROUTES, made, app=behind_grpc, service=of_grpc
        )
        found = Shop(
            router=AdoptedRoutes(cluster),
            key=Key(namespace=name, name="web"),
            kubectl=kubectl,
            call=call,
        )
        await found.until(NOTHING, {STABLE})
        yield found
        await found.router.clean(found.key)
        assert kubectl.get("grpcroute", "web")["spec"] == stored["spec"]


@asynccontextmanager
async def through(
    gateway: str, host: str
) -> AsyncIterator["grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"]:
    """Connect to a gateway, and return a method that is called there."""
    address, options = urlsplit(gateway), [("grpc.default_authority", host)]
    where = f"{address.hostname}:{address.port or 80}"
    async with grpc.aio.insecure_channel(where, options=options) as channel:
        yield channel.unary_unary(METHOD)


async def test_shares_of_calls_are_carried_and_no_switch_costs_one(shop: Shop) -> None:
    async with calling(shop) as caller:
        for traffic, seen in (
            (Traffic(100), {CANARY}),
            (NOTHING, {STABLE}),
            (Traffic(30), {STABLE, CANARY}),
        ):
            await shop.until(traffic, seen)
    counts = await shop.calls(CALLS)
    # Five standard deviations of 400 draws at 30 %.
    assert abs(counts[CANARY] - 0.3 * CALLS) < 46, counts
    assert set(caller.seen) == {STABLE, CANARY}
    assert not caller.failed
