"""Canary objects as the store of runs: found by target, made from defaults, written as status."""

from datetime import datetime
from typing import Final

from analyzer.ports import Cluster
from canary.contract import AUTO_LABEL, AUTO_VALUE, MANAGED_BY, MANAGED_BY_LABEL
from canary.model.state import State
from canary.model.values import Json, Key
from canary.objects.desired import owner_reference
from canary.objects.status import state_from_status, status_from_state
from canary.spec.canary import Defaults, default_spec
from runtime.errors import AlreadyExists
from runtime.resources import CANARIES
from runtime.writes import patched

API_VERSION: Final = "flagger.app/v1beta1"


def target_of(canary: Json) -> Key:
    """Return the key of the target that a Canary speaks of."""
    return Key(namespace=canary["metadata"]["namespace"], name=canary["spec"]["targetRef"]["name"])


def default_canary(namespace: str, name: str, defaults: Defaults) -> Json:
    """Return the Canary that a target gets when its team has written none, without its owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Canary",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, AUTO_LABEL: AUTO_VALUE},
        },
        "spec": default_spec(name, defaults),
    }


class Records:
    """Reads and writes Canary objects."""

    def __init__(self, cluster: Cluster, defaults: Defaults) -> None:
        self._cluster = cluster
        self._defaults = defaults

    async def create(self, target: Json) -> Json:
        """Make the Canary of a target whose team has written none, owned by the target.

        Args:
            target: the Deployment.

        """
        metadata = target["metadata"]
        obj = default_canary(metadata["namespace"], metadata["name"], self._defaults)
        obj["metadata"]["ownerReferences"] = [owner_reference(target)]
        try:
            return await self._cluster.create(CANARIES, obj)
        except AlreadyExists:
            return await self._cluster.get(CANARIES, metadata["namespace"], metadata["name"])

    async def read(self, canary: Json) -> Json:
        """Return the Canary as it is stored now.

        Raises:
            NotFound: it is gone.

        """
        metadata = canary["metadata"]
        return await self._cluster.get(CANARIES, metadata["namespace"], metadata["name"])

    async def save(self, canary: Json, state: State, now: datetime) -> Json:
        """Write the state of a run and return the Canary as it is stored then.

        Args:
            canary: the Canary as it was read before the state was derived from it.
            state: what to store.
            now: the time of this reconcile.

        Raises:
            Overtaken: another state has been stored since; derive anew from that one.

        """
        metadata = canary["metadata"]
        status = status_from_state(
            state,
            previous=canary.get("status") or {},
            generation=metadata.get("generation", 0),
            now=now,
        )
        return await patched(
            self._cluster,
            CANARIES,
            canary,
            lambda _: {"status": status},
            subresource="status",
            still=lambda newer: newer.get("status") == canary.get("status"),
        )


def state_of(canary: Json) -> State:
    """Return the state that a Canary carries."""
    return state_from_status(canary.get("status") or {})
