"""Puts the certificates into the cluster, in an order in which every connection is trusted.

A new authority is trusted (caBundle) before anything is signed by it, and the one before stays
trusted for an hour, so that a server that still has the older certificate is not refused. An
authority whose key has leaked is not trusted for so long: `Bootstrap.replace_authority`.
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
    is_recent,
    is_signed_by,
    is_valid,
    issue_ca,
    issue_serving,
    serving_renewal,
    unusable,
)
from certs.settings import Settings
from runtime.errors import Forbidden, HeadgateError, NotFound
from runtime.resources import (
    MUTATINGWEBHOOKCONFIGURATIONS,
    SECRETS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    Resource,
)
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
_Trusting = dict[Resource, Json]
"""The webhook configurations that trust an authority."""


class UnusableAuthority(HeadgateError):  # noqa: N818  # it names what was found
    """The authority is an admin's, and nothing can be signed by it; the message says why."""


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
            UnusableAuthority: the authority in the Secret cannot sign; it is left as it is.

        """
        # Read before the authority is: another process that rotates it in between has then also
        # written this object, and our write of an older bundle fails.
        trusting = await self._trusting()
        ca, before = await self._ensure_ca()
        serving = await self._secret(self.settings.serving_secret)
        await self._ensure_trust(trusting, ca, self._trusted_before(trusting, ca, before, serving))
        await self._ensure_serving(ca, serving)

    async def replace_authority(self) -> None:
        """Make another authority, trust it alone, and have all that others have signed refused.

        For a key that has leaked. Until the webhook's pods have their new certificate, writes that
        the webhook is asked about are refused.

        Raises:
            ApiError: as for `ensure`; the authority before may still be trusted: run it again.
            Overtaken: likewise.

        """
        trusting = await self._trusting()
        secret = await self._secret(self.settings.ca_secret)
        ca = await self._issue_ca(secret, before="", reason="Replaced")
        await self._ensure_trust(trusting, ca, [])
        await self._ensure_serving(ca, await self._secret(self.settings.serving_secret))

    async def _trusting(self) -> _Trusting:
        """Return what holds the trust: what gates updates, and what has objects checked.

        The second may be missing, by the admin's wish or in manifests of before: gating goes on.
        """
        name = self.settings.webhook_configuration
        found = {
            MUTATINGWEBHOOKCONFIGURATIONS: await self.cluster.get(
                MUTATINGWEBHOOKCONFIGURATIONS, "", name
            )
        }
        try:
            found[VALIDATINGWEBHOOKCONFIGURATIONS] = await self.cluster.get(
                VALIDATINGWEBHOOKCONFIGURATIONS, "", name
            )
        except NotFound:
            log.info("objects are not checked: no validating configuration")
        except Forbidden as error:
            log.warning("objects are not checked: apply the roles anew", error=error.message)
        return found

    async def _ensure_ca(self) -> tuple[Pair, str]:
        settings, now = self.settings, self.clock()
        secret = await self._secret(settings.ca_secret)
        ca, before = _pair(secret, CA_CERTIFICATE, CA_KEY), _text(secret, CA_BEFORE)
        why = ca_renewal(ca, now)
        if ca is not None and why is Renewal.NONE:
            if problem := unusable(ca):
                raise UnusableAuthority(f"the authority in {settings.ca_secret}: {problem}")
            return ca, before
        old = ca.certificate if ca is not None and is_valid(ca.certificate, now) else ""
        return await self._issue_ca(secret, before=old, reason=str(why)), old

    async def _issue_ca(self, secret: Json | None, *, before: str, reason: str) -> Pair:
        settings = self.settings
        name = f"{settings.service}.{settings.namespace} CA"
        new = issue_ca(name, now=self.clock(), lifetime=settings.ca_lifetime)
        data = {CA_CERTIFICATE: new.certificate, CA_KEY: new.key, CA_BEFORE: before}
        await self._write(settings.ca_secret, secret, data, "Opaque")
        log.info("authority issued", reason=reason)
        return new

    def _trusted_before(
        self, trusting: _Trusting, ca: Pair, before: str, serving: Json | None
    ) -> list[str]:
        """Return the authorities, besides the present one, whose certificates may be in use."""
        now, kept = self.clock(), []
        if is_recent(ca.certificate, now):
            kept.append(before)
        shown = _text(serving, CERTIFICATE)
        if not is_signed_by(shown, ca) or is_recent(shown, now):
            webhooks = [webhook for found in trusting.values() for webhook in found["webhooks"]]
            kept += [pem for webhook in webhooks for pem in _bundled(webhook)]
        return [pem for pem in kept if is_valid(pem, now)]

    async def _ensure_trust(self, trusting: _Trusting, ca: Pair, others: list[str]) -> None:
        """Trust the authority, and these others."""
        trusted = list(dict.fromkeys(pem.strip() for pem in (ca.certificate, *others)))
        text = "".join(f"{pem}\n" for pem in trusted[:MOST_TRUSTED])
        bundle = base64.b64encode(text.encode()).decode()
        for resource, found in trusting.items():
            await self._write_trust(resource, found, bundle)

    async def _write_trust(self, resource: Resource, found: Json, bundle: str) -> None:
        webhooks = [_trusting(webhook, bundle) for webhook in found["webhooks"]]
        if webhooks == found["webhooks"]:
            return
        await patched(self.cluster, resource, found, lambda _: {"webhooks": webhooks}, still=never)
        log.info("trust written", kind=resource.kind, webhooks=len(webhooks))

    async def _ensure_serving(self, ca: Pair, secret: Json | None) -> None:
        settings, now = self.settings, self.clock()
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
