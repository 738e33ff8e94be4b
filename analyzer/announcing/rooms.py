"""Finds where an alert goes: its AlertProvider, and the Secret of that."""

from collections.abc import Collection
from dataclasses import dataclass

from analyzer.ports import AlertError, Cluster
from canary.model.announcement import Alert, Room
from canary.model.values import Json
from canary.objects.alert_providers import room_of, secret_of
from canary.spec.references import elsewhere
from runtime.errors import ApiError, Forbidden, NotFound
from runtime.resources import ALERTPROVIDERS, SECRETS, Resource


@dataclass(frozen=True, slots=True)
class Rooms:
    """Reads AlertProviders and their Secrets, each time anew: both change.

    Args:
        cluster: where they are.
        known: the types of AlertProvider there are.
        cross_namespace: whether a Canary may name an AlertProvider of another namespace, and so
            have that namespace's Secret used.

    """

    cluster: Cluster
    known: Collection[str]
    cross_namespace: bool = False

    async def of(self, alert: Alert, namespace: str) -> Room:
        """Return where an alert of a namespace's Canary goes.

        Raises:
            AlertError: it cannot be told; the message says how to mend it.

        """
        where = f"AlertProvider {alert.namespace}/{alert.provider}"
        if alert.namespace != namespace and not (self.cross_namespace or alert.admins):
            raise AlertError(elsewhere(where, namespace))
        provider = await self._read(ALERTPROVIDERS, alert.namespace, alert.provider)
        secret, name = None, secret_of(provider)
        if name:
            secret = await self._read(SECRETS, alert.namespace, name)
        try:
            room = room_of(provider, secret)
        except ValueError as error:
            raise AlertError(f"{where}: {error}") from None
        if room.type not in self.known:
            known = ", ".join(sorted(self.known))
            raise AlertError(f"{where}: unknown type {room.type}; known: {known}")
        return room

    async def _read(self, resource: Resource, namespace: str, name: str) -> Json:
        what = f"{resource.kind} {namespace}/{name}"
        try:
            return await self.cluster.get(resource, namespace, name)
        except NotFound:
            raise AlertError(f"{what} does not exist; create it or mend what names it") from None
        except Forbidden as error:
            raise AlertError(f"{what} cannot be read: {error.message}") from None
        except ApiError as error:
            raise AlertError(f"{what} cannot be read: {error.message}", again=True) from None
