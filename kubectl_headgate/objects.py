"""What the command reads from a cluster. It writes nothing."""

from collections.abc import Sequence
from typing import Final, Protocol

from analyzer.settings import Settings, read_settings
from canary.contract import SYSTEM_NAMESPACE
from canary.model.selection import selects, service_selector
from canary.model.values import Json
from canary.objects.ownership import may_be_in_front
from canary.spec.made import preferred
from kubectl_headgate.faults import Unreadable
from runtime.errors import ApiError, NotFound
from runtime.resources import CANARIES, DEPLOYMENTS, SERVICES, ListResult, Resource

CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SETTINGS: Final = "headgate"
"""The ConfigMap that the admin configures Headgate by."""


class Reader(Protocol):
    """The part of `runtime.kube.Cluster` that is needed here; the contract is written there."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return one object."""

    async def list(self, resource: Resource, namespace: str | None = None) -> ListResult:
        """Return all objects of a namespace."""


async def find_canary(cluster: Reader, namespace: str, name: str) -> Json | None:
    """Return the Canary for a target, else the one of that name, None where there is none.

    Args:
        cluster: the API server.
        namespace: where to look.
        name: the Deployment's, or the Canary's own.

    Raises:
        Unreadable: the cluster has no such kind.

    """
    try:
        found = await cluster.list(CANARIES, namespace)
    except NotFound as error:
        raise Unreadable(
            "this cluster has no Canary objects; install Headgate, or choose another cluster with "
            "--context or --kubeconfig"
        ) from error
    return _named(found.items, name)


def _named(canaries: Sequence[Json], name: str) -> Json | None:
    for_target = [one for one in canaries if one["spec"]["targetRef"]["name"] == name]
    of_name = (one for one in canaries if one["metadata"]["name"] == name)
    return preferred(for_target) or next(of_name, None)


def absent(namespace: str, name: str) -> Unreadable:
    """Say that there is no Canary."""
    return Unreadable(
        f"no Canary in namespace {namespace} is for {name}; choose the namespace with -n, or see "
        "what there is: kubectl get canaries -A"
    )


async def admin_settings(cluster: Reader) -> tuple[Settings, str]:
    """Return what the admin has set, and a remark where that cannot be read.

    A team's rights often end at its own namespace: Headgate's own defaults stand in then.
    """
    try:
        found = await cluster.get(CONFIGMAPS, SYSTEM_NAMESPACE, SETTINGS)
        return read_settings(found.get("data") or {}), ""
    except (ApiError, ValueError) as error:
        remark = (
            f"the admin's settings cannot be read ({error}), so Headgate's own defaults stand in"
        )
        return read_settings({}), remark


async def service_of(cluster: Reader, namespace: str, target: str, usual: str) -> str:
    """Return the name of the Service in front of a target, as a run by the defaults finds it.

    Args:
        cluster: the API server.
        namespace: of both.
        target: the Deployment's name.
        usual: the name that the Service has if there is one of it, or if nothing can be read.

    """
    try:
        services = (await cluster.list(SERVICES, namespace)).items
        template = (await cluster.get(DEPLOYMENTS, namespace, target))["spec"]["template"]
    except ApiError:
        return usual
    labels = template["metadata"].get("labels") or {}
    found = [one["metadata"]["name"] for one in services if selects(service_selector(one), labels)]
    named = [one for one in services if one["metadata"]["name"] == usual]
    is_its_own = any(may_be_in_front(one, labels) for one in named)
    return usual if is_its_own or not found else str(found[0])
