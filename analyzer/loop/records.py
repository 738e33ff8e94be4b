"""Canary objects as the store of runs: found by target, made for those without, kept as status."""

from datetime import datetime
from typing import Final

from analyzer.ports import Cluster
from canary.model.names import MOST_IN_A_NAME, canary_name, suffixed
from canary.model.state import State
from canary.model.values import Json, Key
from canary.objects.cookies import cookies
from canary.objects.crd import MANIFEST, NAME
from canary.objects.desired import owner_reference
from canary.objects.status import state_from_status, status_from_state
from canary.objects.superseded import superseded
from canary.spec.made import made_canary, renewed
from runtime.errors import AlreadyExists, Invalid
from runtime.resources import CANARIES
from runtime.writes import patched

_ANALYSIS: Final = "spec.analysis"
_NOT_OURS: Final = (
    f"CustomResourceDefinition {NAME} is not Headgate's; apply {MANIFEST} of this release"
)


def target_of(canary: Json) -> Key:
    """Return the key of the target that a Canary speaks of."""
    return Key(namespace=canary["metadata"]["namespace"], name=canary["spec"]["targetRef"]["name"])


class Records:
    """Reads and writes Canary objects."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(self, target: Json) -> Json:
        """Make the Canary of a target whose team has written none, owned by the target.

        A Canary may have any name: one that is for another target is left alone.

        Args:
            target: the Deployment.

        Raises:
            Invalid: the API server does not take it; the message says what to apply where the
                cluster's definition of a Canary is another one. Or no name is free.

        """
        metadata, others = target["metadata"], list[str]()
        for name in _names(metadata["name"], metadata["uid"]):
            found = await self._created(target, name)
            if target_of(found).name == metadata["name"]:
                return found
            others.append(f"Canary {name} is for {target_of(found).name}")
        said = f"no Canary can be made for {metadata['name']}: {', '.join(others)}"
        raise Invalid(0, "NamesTaken", said)

    async def _created(self, target: Json, name: str) -> Json:
        """Make a target's Canary under a name, or return the one that has it."""
        namespace = target["metadata"]["namespace"]
        obj = made_canary(namespace, target["metadata"]["name"])
        obj["metadata"] |= {"name": name, "ownerReferences": [owner_reference(target)]}
        try:
            return await self._cluster.create(CANARIES, obj)
        except AlreadyExists:
            return await self._cluster.get(CANARIES, namespace, name)
        except Invalid as error:
            if _ANALYSIS not in error.message:
                raise
            raise Invalid(error.status, error.reason, f"{_NOT_OURS}: {error.message}") from error

    async def renew(self, canary: Json) -> Json | None:
        """Leave a Canary as it should be, and return it as it is stored then; None if it is so.

        Args:
            canary: the object as it was read.

        Raises:
            Overtaken: it is another one now, or has gone.

        """
        if renewed(canary) is None:
            return None
        if "managedFields" not in canary["metadata"]:  # a copy that an informer has trimmed
            canary = await self.read(canary)
        return await patched(self._cluster, CANARIES, canary, renewed)

    async def read(self, canary: Json) -> Json:
        """Return the Canary as it is stored now.

        Raises:
            NotFound: it is gone.

        """
        metadata = canary["metadata"]
        return await self._cluster.get(CANARIES, metadata["namespace"], metadata["name"])

    async def hand_over(self, made: Json, canary: Json, now: datetime) -> Json:
        """Give what is known of a target to the Canary that its team has written beside ours.

        Args:
            made: the one that was made for the target, as it was last heard of.
            canary: the team's, just read.
            now: the time of this reconcile.

        Returns:
            The team's as it is stored then. Ours remembers nothing any more, so that it begins
            anew should the team's go.

        Raises:
            Overtaken: somebody else has written one of them meanwhile.
            NotFound: ours has gone.

        """
        made = await self.read(made)
        known = made.get("status") or {}
        if "run" not in known:
            return canary
        if not _speaks_of_the_same(canary, made):
            canary = await self.save(canary, state_of(made), now)
        forgotten = {"status": dict.fromkeys(known)}
        await patched(self._cluster, CANARIES, made, lambda _: forgotten, subresource="status")
        return canary

    async def supersede(self, canary: Json, target: Json, now: datetime) -> None:
        """Take what a Canary says of the version before off its condition, before any look at it.

        Args:
            canary: the object as it was heard of.
            target: its Deployment, which is held with another version.
            now: the time of this reconcile.

        Raises:
            Overtaken: the status is another one meanwhile: somebody looks at it already.

        """
        if (patch := superseded(canary, target, now)) is None:
            return
        await patched(
            self._cluster,
            CANARIES,
            canary,
            lambda _: patch,
            subresource="status",
            still=lambda newer: newer.get("status") == canary.get("status"),
        )

    async def save(self, canary: Json, state: State, now: datetime) -> Json:
        """Write the state of a run and return the Canary as it is stored then.

        Args:
            canary: the Canary as it was read before the state was derived from it.
            state: what to store.
            now: the time of this reconcile.

        Raises:
            Overtaken: another state has been stored since; derive anew from that one.
            Invalid: the cluster's definition of a Canary keeps no record of a run.

        """
        metadata = canary["metadata"]
        status = status_from_state(
            state,
            previous=canary.get("status") or {},
            generation=metadata.get("generation", 0),
            now=now,
        )
        saved = await patched(
            self._cluster,
            CANARIES,
            canary,
            lambda _: {"status": {**status, **cookies(state, target_of(canary))}},
            subresource="status",
            still=lambda newer: newer.get("status") == canary.get("status"),
        )
        if "run" not in (saved.get("status") or {}):
            # Nothing that is decided would be remembered: better to do nothing, and say why.
            raise Invalid(0, "Pruned", f"{_NOT_OURS}: it keeps no status.run")
        return saved


def _names(target: str, uid: str) -> tuple[str, ...]:
    """Return the names that the Canary of a target may get, the usual one first."""
    return target, canary_name(target), suffixed(target, f"-{uid[:8]}", MOST_IN_A_NAME)


def _speaks_of_the_same(canary: Json, made: Json) -> bool:
    """Tell whether a team's Canary has a run, and not of another target that it named before."""
    theirs, ours = ((it.get("status") or {}).get("run") for it in (canary, made))
    if theirs is None or ours is None:
        return theirs is not None
    named = {theirs.get("target"), ours.get("target")} - {None}
    return len(named) <= 1


def state_of(canary: Json) -> State:
    """Return the state that a Canary carries."""
    return state_from_status(canary.get("status") or {})
