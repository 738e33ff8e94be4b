"""What has the canary's name in a target's namespace, and whether it is ours and may stay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analyzer.loop.forgotten import forgotten
from analyzer.loop.surroundings import misfit, service_named
from analyzer.ports import Cluster
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, TARGET_LABEL
from canary.model.canary_labels import CanaryLabels
from canary.model.former import Identities
from canary.model.names import canary_name, target_label
from canary.model.strategy import Kind, Strategy
from canary.model.values import Json, Key
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.objects.desired import keeps_selector
from canary.objects.joining import is_joined, joins_as
from canary.objects.ownership import (
    Ownership,
    canary_service_owner,
    ownership,
    strange_pods_said,
    taken,
    told_apart,
)
from canary.objects.workloads import read_canary
from runtime.errors import NotFound
from runtime.heard import Readable, not_before
from runtime.resources import DEPLOYMENTS, PODS, SERVICES
from runtime.writes import deleted, stored

_CLUSTERS_OWN: Final = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers that go by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCanary:
    """What has the canary's name: its Deployment and pods, if they are ours.

    `ours` may be left over from a target of before, which `whose` tells. `strange` are pods of
    another workload that wear the label of the canary's, `forgotten` the ReplicaSets of a canary
    before that are there still.
    """

    canary: CanaryAbsent | CanaryPresent = CanaryAbsent()
    found: Json | None = None
    ours: Json | None = None
    whose: Ownership = Ownership.OURS
    pods: tuple[Json, ...] = ()
    strange: tuple[Json, ...] = ()
    forgotten: tuple[Json, ...] = ()

    def worn(self, candidate: str) -> dict[str, str] | None:
        """Return the labels of the pods of a canary of this very candidate."""
        if isinstance(self.canary, CanaryAbsent) or self.canary.template_hash != candidate:
            return None
        return self.labels()

    @property
    def has_joined(self) -> bool:
        """Whether any of its pods is in a Service of the team's, by its label."""
        return any(map(is_joined, self.pods))

    def labels(self) -> dict[str, str]:
        """Return the labels that the canary's pods are made with; none where there is no canary."""
        template = {} if self.ours is None else self.ours["spec"]["template"]["metadata"]
        return dict(template.get("labels") or {})


async def standing_canary(cluster: Readable, key: Key, target: Json) -> StandingCanary:
    """Read what has the name of a target's canary, and the pods with its label.

    Args:
        cluster: the API server, or what the watches have told.
        key: the target's.
        target: the Deployment.

    """
    try:
        obj = await cluster.get(DEPLOYMENTS, key.namespace, canary_name(key.name))
    except NotFound:
        return StandingCanary()
    obj = {"kind": DEPLOYMENTS.kind, **obj}
    whose = ownership(obj, target)
    if whose is Ownership.STRANGERS:
        return StandingCanary(found=obj)
    selector = f"{TARGET_LABEL}={target_label(key.name)}"
    reads = not_before(obj, cluster)
    listed = (await reads.list(PODS, key.namespace, label_selector=selector)).items
    pods, strange = told_apart(key.name, listed)
    left = await forgotten(reads, obj, pods, selector)
    # One of an earlier candidate is made anew, so that no other template needs to be known.
    made_from = Identities((target["spec"]["template"],))
    return StandingCanary(
        canary=read_canary(obj, pods, made_from, left),
        found=obj,
        ours=obj,
        whose=whose,
        pods=tuple(pods),
        strange=tuple(strange),
        forgotten=tuple(left),
    )


def misfit_of(
    services: list[Json],
    standing: StandingCanary,
    labels: CanaryLabels | None,
    strategy: Strategy,
) -> str:
    """Say why a canary that stands has to go before it is made again; "" where it may stay."""
    own, by_pods = canary_name(strategy.service_name), strategy.kind is Kind.PODS
    if standing.ours is None:
        return ""
    if found := _not_to_be_used(standing.ours, standing.whose):
        return found
    pods = [dict(pod["metadata"].get("labels") or {}) for pod in standing.pods]
    shared = strategy.service_name if by_pods else ""
    if found := misfit(services, (standing.labels(), *pods), own, shared):
        return found
    if by_pods and labels is not None and not joins_as(standing.ours, labels):
        return f"the canary's pods cannot join Service {shared} as it selects now"
    keeps = labels is None or keeps_selector(standing.ours, labels)
    return "" if keeps else "the canary's selector does not tell its pods from the target's"


def _not_to_be_used(ours: Json, whose: Ownership) -> str:
    metadata = ours["metadata"]
    if whose is Ownership.FORMER:
        return f"Deployment {metadata['name']} was made for a Deployment of before, which has gone"
    kept_by = set(metadata.get("finalizers") or ()) - _CLUSTERS_OWN
    if metadata.get("deletionTimestamp") and kept_by:
        kept = ", ".join(sorted(kept_by))
        return f"Deployment {metadata['name']} is being deleted and waits for its finalizer {kept}"
    return ""


def strangers_of(
    target: Json, services: Iterable[Json], standing: StandingCanary, own: str
) -> tuple[str, ...]:
    """Name what stands where the canary's objects are to be and is not ours.

    Args:
        target: the Deployment the team owns.
        services: all of its namespace.
        standing: what has the name of the canary Deployment.
        own: name of the canary's Service.

    """
    service = kinded(service_named(services, own))
    pods = strange_pods_said(target["metadata"]["name"], standing.strange)
    return (*taken(target, standing.found, service), *pods)


def left_over(target: Json, services: Iterable[Json], standing: StandingCanary) -> bool:
    """Tell whether a canary's Service is there without the Deployment that it is in front of."""
    return standing.ours is None and any(in_front_of_canary(it, target) for it in services)


def apart(services: Iterable[Json], target: Json, own: str) -> list[Json]:
    """Return the Services without those in front of the canary under a name of before an edit.

    They take nothing in that no route of ours sends there, and go with the canary.

    Args:
        services: all of the namespace.
        target: the Deployment the team owns.
        own: name of the canary's Service as it is to be called now.

    """
    return [
        one
        for one in services
        if one["metadata"]["name"] == own or not in_front_of_canary(one, target)
    ]


def in_front_of_canary(service: Json, target: Json) -> bool:
    """Tell whether a Service was made for the canary of a target, or of one that has gone."""
    name, whose = target["metadata"]["name"], ownership(service, target)
    return whose is not Ownership.STRANGERS and canary_service_owner(service) == name


async def canary_services(cluster: Cluster, target: Json) -> list[Json]:
    """Return the Services in front of a target's canary, under whatever name: it may be edited."""
    metadata = target["metadata"]
    selector = f"{MANAGED_BY_LABEL}={MANAGED_BY},{TARGET_LABEL}={target_label(metadata['name'])}"
    found = await cluster.list(SERVICES, metadata["namespace"], label_selector=selector)
    return [one for one in found.items if in_front_of_canary(one, target)]


async def own_service(cluster: Cluster, target: Json, name: str) -> Json | None:
    """Return the canary's Service as it is stored; one of a target of before is deleted first.

    What has its name and is somebody else's is left alone: it cannot be made then.
    """
    found = await stored(cluster, SERVICES, target["metadata"]["namespace"], name)
    whose = Ownership.STRANGERS if found is None else ownership(found, target)
    if found is not None and whose is Ownership.FORMER:
        await deleted(cluster, SERVICES, found)
    return found if whose is Ownership.OURS else None


def kinded(service: Json | None) -> Json | None:
    """Return a Service with its kind, which the items of a list may lack."""
    return None if service is None else {"kind": SERVICES.kind, **service}
