"""Puts the certificates into the cluster, in an order in which every connection is trusted.

A new authority is trusted (caBundle) before anything is signed by it, and the one before stays
trusted until it expires, so that a server that still has the older certificate is not refused.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.values import Json
from certs.issue import (
    Pair,
    Renewal,
    ca_renewal,
    is_valid,
    issue_ca,
    issue_serving,
    serving_renewal,
)
from certs.settings import Settings
from runtime.errors import NotFound
from runtime.resources import MUTATINGWEBHOOKCONFIGURATIONS, SECRETS, Resource
from runtime.writes import never, patched

CA_CERTIFICATE: Final = "ca.crt"
CA_KEY: Final = "ca.key"
CA_BEFORE: Final = "previous.crt"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
TLS_TYPE: Final = "kubernetes.io/tls"
PEM_END: Final = "-----END CERTIFICATE-----"
MOST_TRUSTED: Final = 4
"""Authorities in a caBundle: the current one and, newest first, those it has replaced."""

log = structlog.get_logger("certs")


class Cluster(Protocol):
    """The part of `runtime.kube.Cluster` that is used here; the contract is written there."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return one object."""

    async def create(self, resource: Resource, obj: Json) -> Json:
        """Create an object."""

    async def replace(self, resource: Resource, obj: Json) -> Json:
        """Replace an object of the same resourceVersion."""

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        """Merge a patch into an object."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Ensures authority, trust and serving certificate. Two at once are safe: one is refused.

    Args:
        cluster: the API server.
        settings: where things are kept, and for how long they are valid.
        clock: the time.

    """

    cluster: Cluster
    settings: Settings
    clock: Callable[[], datetime]

    async def ensure(self) -> None:
        """Bring everything to where it should be; writes nothing where nothing is due.

        Raises:
            ApiError: the API server could not do its part, or another process was faster with
                a Secret (Conflict, AlreadyExists): run it again.
            Overtaken: another process was faster with the trust: run it again.

        """
        # Read before the authority is: another process that rotates it in between has then also
        # written this object, and our write of an older bundle fails.
        name = self.settings.webhook_configuration
        trusting = await self.cluster.get(MUTATINGWEBHOOKCONFIGURATIONS, "", name)
        ca, before = await self._ensure_ca()
        await self._ensure_trust(trusting, ca, before)
        await self._ensure_serving(ca)

    async def _ensure_ca(self) -> tuple[Pair, str]:
        settings, now = self.settings, self.clock()
        secret = await self._secret(settings.ca_secret)
        ca, before = _pair(secret, CA_CERTIFICATE, CA_KEY), _text(secret, CA_BEFORE)
        why = ca_renewal(ca, now)
        if ca is not None and why is Renewal.NONE:
            return ca, before if is_valid(before, now) else ""
        name = f"{settings.service}.{settings.namespace} CA"
        new = issue_ca(name, now=now, lifetime=settings.ca_lifetime)
        old = ca.certificate if ca is not None and is_valid(ca.certificate, now) else ""
        data = {CA_CERTIFICATE: new.certificate, CA_KEY: new.key, CA_BEFORE: old}
        await self._write(settings.ca_secret, secret, data, "Opaque")
        log.info("authority issued", reason=str(why))
        return new, old

    async def _ensure_trust(self, found: Json, ca: Pair, before: str) -> None:
        """Trust the authority, and until they expire those that were trusted before it."""
        known = [pem for webhook in found["webhooks"] for pem in _bundled(webhook)]
        valid = [pem for pem in (before, *known) if is_valid(pem, self.clock())]
        trusted = list(dict.fromkeys(pem.strip() for pem in (ca.certificate, *valid)))
        text = "".join(f"{pem}\n" for pem in trusted[:MOST_TRUSTED])
        bundle = base64.b64encode(text.encode()).decode()
        webhooks = [_trusting(webhook, bundle) for webhook in found["webhooks"]]
        if webhooks != found["webhooks"]:
            await patched(
                self.cluster,
                MUTATINGWEBHOOKCONFIGURATIONS,
                found,
                lambda _: {"webhooks": webhooks},
                still=never,
            )
            log.info("trust written", webhooks=len(webhooks))

    async def _ensure_serving(self, ca: Pair) -> None:
        settings, now = self.settings, self.clock()
        secret = await self._secret(settings.serving_secret)
        serving = _pair(secret, CERTIFICATE, KEY)
        why = serving_renewal(serving, ca, settings.dns_names, now)
        if why is Renewal.NONE:
            return
        new = issue_serving(ca, settings.dns_names, now=now, lifetime=settings.serving_lifetime)
        data = {CERTIFICATE: new.certificate, KEY: new.key, CA_CERTIFICATE: ca.certificate}
        await self._write(settings.serving_secret, secret, data, TLS_TYPE)
        log.info("serving certificate issued", reason=str(why))

    async def _secret(self, name: str) -> Json | None:
        try:
            return await self.cluster.get(SECRETS, self.settings.namespace, name)
        except NotFound:
            return None

    async def _write(self, name: str, found: Json | None, data: dict[str, str], kind: str) -> None:
        """Create the Secret, or replace the very one that was read."""
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        metadata: Json = {
            "name": name,
            "namespace": self.settings.namespace,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        }
        secret: Json = {"metadata": metadata, "type": kind, "data": encoded}
        if found is None:
            await self.cluster.create(SECRETS, secret)
        else:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
            secret["type"] = found.get("type", kind)  # a Secret's type cannot be changed
            await self.cluster.replace(SECRETS, secret)


def _trusting(webhook: Json, bundle: str) -> Json:
    return {**webhook, "clientConfig": {**webhook["clientConfig"], "caBundle": bundle}}


def _bundled(webhook: Json) -> list[str]:
    """Return the certificates of a webhook's caBundle."""
    value = webhook["clientConfig"].get("caBundle", "")
    text = base64.b64decode(value).decode(errors="replace")
    return [f"{part}{PEM_END}" for part in text.split(PEM_END) if part.strip()]


def _text(secret: Json | None, key: str) -> str:
    value = ((secret or {}).get("data") or {}).get(key, "")
    return base64.b64decode(value).decode(errors="replace")


def _pair(secret: Json | None, certificate: str, key: str) -> Pair | None:
    if secret is None:
        return None
    return Pair(certificate=_text(secret, certificate), key=_text(secret, key))
