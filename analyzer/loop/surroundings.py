"""Reads what stands beside a target in its namespace, as far as a canary depends on it.

Most of it is read only where a rule may need it: for a run that begins, a Service without a route,
a canary that is to have traffic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL, SERVICE_OF_SLICE
from canary.model.canary_labels import CanaryLabels, UnsuitableTarget, canary_labels, strangers
from canary.model.names import canary_name
from canary.model.selection import listed_by, selects, service_selector
from canary.model.values import Json
from canary.objects.exclusive import claims_of, in_the_way
from canary.objects.ownership import is_in_front, not_in_front_said
from canary.objects.policies import left_behind, message
from canary.routes.elsewhere import found_elsewhere
from canary.routes.grants import let_in
from canary.routes.known import DIALECTS
from canary.routes.meshes import mesh_of, passed_over, way_in
from canary.routes.nginx import NGINX
from canary.routes.refused import refused_here
from runtime.errors import Forbidden, NotFound, TooLarge
from runtime.heard import Surveyable
from runtime.resources import (
    CLAIMS,
    DISRUPTIONBUDGETS,
    ENDPOINTSLICES,
    GRPCROUTES,
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSES,
    INGRESSROUTES,
    LINKERD_HTTPROUTES,
    NAMESPACES,
    NETWORKPOLICIES,
    PODS,
    REFERENCEGRANTS,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)

OTHER_KINDS: Final = (
    HTTPROUTES,
    GRPCROUTES,
    INGRESSES,
    VIRTUALSERVICES,
    HTTPPROXIES,
    INGRESSROUTES,
    TRAEFIKSERVICES,
    LINKERD_HTTPROUTES,
)
"""Kinds that may lead to a Service, to be named where nothing does that is split."""
NAMED: Final = 5
"""Routes of other namespaces that are told by name."""
NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label that each namespace has, with its name."""
_OF_NGINX: Final = f"{INGRESSES.kind} of class {NGINX}"
RIGHTS: Final = tuple(
    it.kind
    for it in (
        GRPCROUTES,
        HTTPPROXIES,
        VIRTUALSERVICES,
        INGRESSROUTES,
        TRAEFIKSERVICES,
        INGRESSES,
    )
)
"""Kinds that are split where the admin has granted them."""

Place = tuple[str, str]
"""Namespace and name of a route."""


class Abroad(Protocol):
    """What is known of routes that lead to Services of other namespaces."""

    def leading(self, resource: Resource, namespace: str, service: str) -> Sequence[Place] | None:
        """Return those of a kind that lead to a Service, None where they have to be read."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Reads; nothing here writes.

    Args:
        cluster: the API server.
        abroad: tells which routes lead to a Service from other namespaces; None to read them all.

    """

    cluster: Surveyable
    abroad: Abroad | None = None

    async def forewarned(self, namespace: str, labels: CanaryLabels) -> tuple[str, ...]:
        """Return which policies are about the target's pods and will not be about the canary's.

        Args:
            namespace: the target's.
            labels: what tells the canary's pods from the target's.

        """
        untold: list[str] = []
        found = left_behind(
            labels,
            network_policies=await self._readable(NETWORKPOLICIES, namespace, untold),
            disruption_budgets=await self._readable(DISRUPTIONBUDGETS, namespace, untold),
        )
        said: tuple[str, ...] = (message(found, labels),) if found else ()
        if untold:
            said += (f"which policies are about the canary's pods {_cannot_be_told(untold)}",)
        return said

    async def exclusive(self, target: Json) -> str:
        """Return what the canary's pods keep from the target's, in words; "" for nothing."""
        namespace = target["metadata"]["namespace"]
        claims: list[Json] = []
        for name in claims_of(target):
            try:
                claims.append(await self.cluster.get(CLAIMS, namespace, name))
            except (NotFound, Forbidden):
                continue
        return in_the_way(target, claims)

    async def unrouted(
        self,
        namespace: str,
        service: str,
        kinds: Sequence[str] = (),
        *,
        port: int | None = None,
        target: Json | None = None,
    ) -> str:
        """Return what was found where no route leads to a Service, in words.

        Args:
            namespace: the Service's.
            service: its name.
            kinds: those that its Canary asks for, none where any will do.
            port: the one whose requests are to be split, None where nobody has said which.
            target: the Deployment behind it, None where nothing is to be said of its mesh.

        """
        found: tuple[str, ...] = ()
        untold: list[str] = []
        denied: list[str] = []
        passed: dict[str, str] = {}
        for kind in OTHER_KINDS:
            routes = await self._readable(kind, namespace, untold, denied)
            passed |= passed_over(routes, service, namespace, port)
            found += found_elsewhere(routes, service, namespace)
        if not found and not passed:
            for kind in OTHER_KINDS:
                leading = await self._leading(kind, namespace, service, untold)
                found += tuple(_told(kind, *one) for one in leading)
        asked = _one_of(kinds or [*(it.kind for it in DIALECTS), _OF_NGINX])
        said = f"no {asked} of its namespace leads to Service {namespace}/{service}"
        lacks = [it for it in RIGHTS if it in denied and it in (kinds or RIGHTS)]
        if lacks:
            said += f"; Headgate may read no {_one_of(lacks)}: see manifests/route-rights"
        for named, why in sorted(passed.items()):
            said += f"; {named} {why}"
        if others := sorted({*found} - passed.keys()):
            said = f"{said}; found was {', '.join(others)}, on which no traffic is split"
            strange = any("/" in it for it in others)
            return f"{said}; {let_in_by(service, namespace)}" if strange else said
        ways = () if passed else await self._ways(namespace, service, target)
        said = "; ".join((said, *ways))
        return f"{said}; what else does {_cannot_be_told(untold)}" if untold else said

    async def _ways(self, namespace: str, service: str, target: Json | None) -> tuple[str, ...]:
        """Say how requests are split where nothing is found that has them."""
        mesh = await self._way(namespace, service, target) if target is not None else ""
        return (*((mesh,) if mesh else ()), *await self._others())

    async def left_out(self, namespace: str, service: str) -> tuple[str, ...]:
        """Return which routes of other namespaces lead to a Service and are not split, in words.

        Whoever writes them decides how many there are: a few are named.

        Args:
            namespace: the Service's.
            service: its name.

        """
        found: set[str] = set()
        untold: list[str] = []
        for kind in OTHER_KINDS:
            if leading := await self._leading(kind, namespace, service, untold):
                let_in = await self._let_in(kind, namespace, service)
                found |= {_told(kind, *one) for one in leading if one[0] not in let_in}
        if not found:
            return ()
        first = sorted(found)[:NAMED]
        more = f" and {len(found) - len(first)} more" if len(found) > len(first) else ""
        said = (
            f"{', '.join(first)}{more} of other namespaces name Service {namespace}/{service}: "
            "what comes by them is not split, and the stable has all of it; lead there by a route "
            f"of {namespace}, or {let_in_by(service, namespace)}"
        )
        return (said,)

    async def _leading(
        self, resource: Resource, namespace: str, service: str, untold: list[str]
    ) -> Sequence[Place]:
        """Return the routes of a kind that lead to a Service from other namespaces.

        All of the cluster are read only where the watch of their kind cannot tell.
        """
        if self.abroad is not None:
            known = self.abroad.leading(resource, namespace, service)
            if known is not None:
                return known
        routes = await self._readable(resource, None, untold)
        others = [it for it in routes if it["metadata"]["namespace"] != namespace]
        return [
            (it["metadata"]["namespace"], it["metadata"]["name"])
            for it in others
            if found_elsewhere([it], service, namespace)
        ]

    async def _let_in(self, resource: Resource, namespace: str, service: str) -> frozenset[str]:
        """Return the namespaces whose routes of a kind are split for a Service of another."""
        if resource not in {HTTPROUTES, GRPCROUTES}:
            return frozenset()
        grants = await self._readable(REFERENCEGRANTS, namespace, [])
        if not grants:
            return frozenset()
        selector = f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}"
        found = await self.cluster.list(NAMESPACES, label_selector=selector)
        labelled = {it["metadata"]["name"] for it in found.items} - {namespace}
        both = (service, canary_name(service))
        return frozenset(let_in(grants, resource.kind, both, labelled))

    async def _way(self, namespace: str, service: str, target: Json) -> str:
        """Say how requests of a mesh are split, where the target is in one."""
        selector = f"{NAME_LABEL}={namespace}"
        spaces = await self.cluster.list(NAMESPACES, label_selector=selector)
        pods = target["spec"]["template"].get("metadata") or {}
        return way_in(mesh_of(pods, *(it["metadata"] for it in spaces.items)), service)

    async def endpoints(self, namespace: str, service: str) -> list[Json]:
        """Return the EndpointSlices of a Service."""
        selector = f"{SERVICE_OF_SLICE}={service}"
        return list(
            (await self.cluster.list(ENDPOINTSLICES, namespace, label_selector=selector)).items
        )

    async def not_in_front(self, target: Json, service: Json) -> tuple[str, ...]:
        """Say that a Service is another app's, where it sends no traffic to a target's pods.

        The template of today tells of most, and those that serve of the others: a release may
        change the very labels, and a leader gives some to itself.

        Args:
            target: the Deployment.
            service: the one whose traffic would be split.

        """
        template = target["spec"]["template"].get("metadata", {}).get("labels") or {}
        if is_in_front(service, [template]):
            return ()
        metadata = target["metadata"]
        selector = listed_by(target)
        found = await self.cluster.list(PODS, metadata["namespace"], label_selector=selector)
        worn = [pod["metadata"].get("labels") or {} for pod in found.items]
        if any(selects(service_selector(service), labels) for labels in worn):
            return ()
        return (not_in_front_said(metadata["name"], service),)

    async def _others(self) -> tuple[str, ...]:
        """Say which kinds the cluster has that are never split; less where it may not be asked."""
        try:
            return refused_here(await self.cluster.groups())
        except (NotFound, Forbidden):
            return ()

    async def _readable(
        self,
        resource: Resource,
        namespace: str | None,
        untold: list[str],
        denied: list[str] | None = None,
    ) -> Sequence[Json]:
        """Return all objects of a kind; none where there is no such kind, or no right to it.

        What they are read for is a remark: without it a run goes on.

        Args:
            resource: the kind.
            namespace: None for all namespaces.
            untold: gets the plural of the kind where the objects are too many, or too large.
            denied: gets the kind where there is no right to it.

        """
        try:
            found = (await self.cluster.list(resource, namespace)).items
        except NotFound:
            return ()
        except Forbidden:
            if denied is not None:
                denied.append(resource.kind)
            return ()
        except TooLarge:
            untold.append(resource.plural)
            return ()
        of_its_kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**of_its_kind, **one} for one in found]


def let_in_by(service: str, namespace: str) -> str:
    """Say how a route of another namespace comes to be split."""
    return (
        "let HTTPRoutes or GRPCRoutes of a labelled namespace in by a ReferenceGrant of "
        f"{namespace} for {service} and {canary_name(service)} "
        "(manifests/route-rights/other-namespaces)"
    )


def _told(resource: Resource, namespace: str, name: str) -> str:
    return f"{resource.kind} {namespace}/{name}"


def _one_of(kinds: Sequence[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last


def _cannot_be_told(plurals: Iterable[str]) -> str:
    return f"cannot be told: too many {', '.join(sorted(set(plurals)))} to be read"


def service_named(services: Iterable[Json], name: str) -> Json | None:
    """Return the Service of a name."""
    return next((one for one in services if one["metadata"]["name"] == name), None)


def labels_of(
    target: Json,
    services: Iterable[Json],
    *,
    stable: str,
    own: str,
    worn: Mapping[str, str] | None,
    joins: bool = False,
) -> CanaryLabels | str:
    """Return what tells the canary's pods from the target's, else why nothing can.

    Args:
        target: the Deployment with the candidate template.
        services: all of its namespace.
        stable: name of the Service whose traffic is split, "" for none.
        own: name of the canary's Service.
        worn: the labels of the pods of a canary of this very candidate, None where there is none.
        joins: whether they are to share the traffic of the stable Service by their number.

    """
    try:
        return canary_labels(target, services, stable=stable, own=own, worn=worn, joins=joins)
    except UnsuitableTarget as problem:
        return str(problem)


def misfit(
    services: Sequence[Json], pods: Iterable[Mapping[str, str]], own: str, shared: str = ""
) -> str:
    """Return which Services send traffic to the canary's pods beside its own, in words.

    Args:
        services: all of the namespace.
        pods: the labels of the canary's pods, as they are and as they are made.
        own: name of the canary's Service.
        shared: name of one that they may join, "" for none.

    """
    found = {name for labels in pods for name in strangers(services, labels, own)} - {shared}
    if not found:
        return ""
    return f"the canary's pods get traffic from Service {', '.join(sorted(found))} too"
