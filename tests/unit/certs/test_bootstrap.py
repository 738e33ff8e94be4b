"""The order in which certificates come into a cluster, and what happens when something is lost."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from canary.model.values import Json
from certs.bootstrap import Bootstrap, UnusableAuthority
from certs.issue import Pair, issue_ca, issue_serving
from certs.settings import Settings
from runtime.errors import Conflict, Forbidden, NotFound
from runtime.resources import (
    MUTATINGWEBHOOKCONFIGURATIONS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    Resource,
)
from runtime.writes import Overtaken

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings()


@dataclass
class Store:
    """Secrets and one webhook configuration, with resource versions as the API server keeps."""

    secrets: dict[str, Json] = field(default_factory=dict)
    bundles: list[str] = field(default_factory=lambda: ["", ""])
    version: int = 1
    writes: list[str] = field(default_factory=list)
    checks: str | None = None
    """The bundle of what has objects checked; None where there is no such configuration."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        del namespace
        if resource is VALIDATINGWEBHOOKCONFIGURATIONS and self.checks is not None:
            webhooks = [{"clientConfig": {"caBundle": self.checks}}]
            return {"metadata": {"name": name, "resourceVersion": "7"}, "webhooks": webhooks}
        if resource is MUTATINGWEBHOOKCONFIGURATIONS:
            webhooks = [{"clientConfig": {"caBundle": bundle}} for bundle in self.bundles]
            metadata = {"name": name, "resourceVersion": str(self.version)}
            return {"metadata": metadata, "webhooks": webhooks}
        if name not in self.secrets:
            raise NotFound(404, "NotFound", name)
        return self.secrets[name]

    async def create(self, resource: Resource, obj: Json) -> Json:
        return await self.replace(resource, obj)

    async def replace(self, resource: Resource, obj: Json) -> Json:
        del resource
        name = obj["metadata"]["name"]
        obj["metadata"]["resourceVersion"] = "1"
        self.secrets[name] = obj
        self.writes.append(name)
        return obj

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        del namespace, name, subresource
        if resource is VALIDATINGWEBHOOKCONFIGURATIONS:
            (webhook,) = patch["webhooks"]
            self.checks = webhook["clientConfig"]["caBundle"]
            self.writes.append("checks")
            return {}
        if patch["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict(409, "Conflict", "stale")
        self.bundles = [webhook["clientConfig"]["caBundle"] for webhook in patch["webhooks"]]
        self.version += 1
        self.writes.append("trust")
        return {}

    def trusted(self) -> str:
        first, second = self.bundles
        assert first == second
        return base64.b64decode(first).decode()

    def data(self, name: str, key: str) -> str:
        return base64.b64decode(self.secrets[name]["data"][key]).decode()


NO_AUTHORITY = issue_serving(
    issue_ca("an admin's", now=NOW, lifetime=timedelta(days=90)),
    SETTINGS.dns_names,
    now=NOW,
    lifetime=timedelta(days=90),
)


def encoded(pair: Pair) -> dict[str, str]:
    data = {"ca.crt": pair.certificate, "ca.key": pair.key}
    return {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}


def bootstrap(store: Store, now: datetime = NOW) -> Bootstrap:
    return Bootstrap(store, SETTINGS, lambda: now)


async def test_trust_comes_before_the_first_certificate_and_a_second_look_writes_nothing() -> None:
    store = Store()
    await bootstrap(store).ensure()
    assert store.writes == [SETTINGS.ca_secret, "trust", SETTINGS.serving_secret]
    await bootstrap(store).ensure()
    assert len(store.writes) == 3


async def test_what_has_objects_checked_trusts_the_same() -> None:
    store = Store(checks="")
    await bootstrap(store).ensure()
    assert store.writes == [SETTINGS.ca_secret, "trust", "checks", SETTINGS.serving_secret]
    assert store.checks == store.bundles[0]
    await bootstrap(store).ensure()
    assert len(store.writes) == 4
    before = store.checks
    await bootstrap(store).replace_authority()
    assert store.checks == store.bundles[0] != before


async def test_without_the_role_for_it_updates_are_gated_all_the_same() -> None:
    class Unknown(Store):
        async def get(self, resource: Resource, namespace: str, name: str) -> Json:
            if resource is VALIDATINGWEBHOOKCONFIGURATIONS:
                raise Forbidden(403, "Forbidden", "no such role")
            return await super().get(resource, namespace, name)

    store = Unknown()
    await bootstrap(store).ensure()
    assert store.writes == [SETTINGS.ca_secret, "trust", SETTINGS.serving_secret]


async def test_an_authority_near_its_end_is_replaced_and_stays_trusted() -> None:
    store = Store()
    await bootstrap(store).ensure()
    old = store.data(SETTINGS.ca_secret, "ca.crt")
    store.writes.clear()
    await bootstrap(store, NOW + SETTINGS.ca_lifetime * 0.7).ensure()
    assert store.writes == [SETTINGS.ca_secret, "trust", SETTINGS.serving_secret]
    new = store.data(SETTINGS.ca_secret, "ca.crt")
    assert new != old
    assert store.trusted().index(new.strip()) < store.trusted().index(old.strip())


async def test_the_authority_before_is_trusted_for_an_hour_and_no_longer() -> None:
    store = Store()
    await bootstrap(store).ensure()
    old = store.data(SETTINGS.ca_secret, "ca.crt").strip()
    later = NOW + SETTINGS.ca_lifetime * 0.7
    await bootstrap(store, later).ensure()
    await bootstrap(store, later + timedelta(minutes=59)).ensure()
    assert old in store.trusted()
    await bootstrap(store, later + timedelta(minutes=61)).ensure()
    assert store.trusted() == store.data(SETTINGS.ca_secret, "ca.crt")
    await bootstrap(store, later + timedelta(days=61)).ensure()
    assert store.trusted() == store.data(SETTINGS.ca_secret, "ca.crt")


async def test_secrets_that_were_deleted_leave_no_authority_trusted_for_years() -> None:
    store = Store()
    await bootstrap(store).ensure()
    store.secrets.clear()
    await bootstrap(store).ensure()
    await bootstrap(store, NOW + timedelta(hours=2)).ensure()
    assert store.trusted() == store.data(SETTINGS.ca_secret, "ca.crt")


async def test_an_authority_is_trusted_as_long_as_nothing_is_signed_by_its_successor() -> None:
    store = Store()
    await bootstrap(store).ensure()
    old = store.data(SETTINGS.ca_secret, "ca.crt").strip()
    made = NOW - timedelta(days=30)
    admins = issue_ca("an admin's", now=made, lifetime=SETTINGS.ca_lifetime)
    store.secrets[SETTINGS.ca_secret]["data"] |= encoded(admins)
    await bootstrap(store).ensure()
    assert old in store.trusted()
    await bootstrap(store, NOW + timedelta(hours=2)).ensure()
    assert store.trusted().strip() == admins.certificate.strip()


async def test_an_authority_whose_key_has_leaked_is_trusted_no_more() -> None:
    store = Store()
    await bootstrap(store).ensure()
    leaked = store.data(SETTINGS.ca_secret, "ca.crt")
    serving = store.data(SETTINGS.serving_secret, "tls.crt")

    await bootstrap(store).replace_authority()

    new = store.data(SETTINGS.ca_secret, "ca.crt")
    assert (new != leaked, store.trusted()) == (True, new)
    assert store.data(SETTINGS.serving_secret, "tls.crt") != serving
    for after in (timedelta(0), timedelta(days=61), timedelta(days=3000)):
        await bootstrap(store, NOW + after).ensure()
        assert leaked.strip() not in store.trusted()


async def test_an_authority_of_an_admin_s_that_cannot_sign_is_left_as_it_is() -> None:
    store = Store()
    await bootstrap(store).ensure()
    store.secrets[SETTINGS.ca_secret]["data"] |= encoded(NO_AUTHORITY)
    store.writes.clear()

    with pytest.raises(UnusableAuthority, match="the authority in headgate-ca: its cert"):
        await bootstrap(store).ensure()

    assert store.writes == []


async def test_a_serving_certificate_is_renewed_under_the_same_trust() -> None:
    store = Store()
    await bootstrap(store).ensure()
    store.writes.clear()
    await bootstrap(store, NOW + timedelta(days=61)).ensure()
    assert store.writes == [SETTINGS.serving_secret]


async def test_a_lost_authority_stays_trusted_while_pods_still_show_its_certificate() -> None:
    store = Store()
    await bootstrap(store).ensure()
    old = store.data(SETTINGS.ca_secret, "ca.crt")
    del store.secrets[SETTINGS.ca_secret]
    await bootstrap(store).ensure()
    assert old.strip() in store.trusted()


async def test_a_lost_bundle_comes_back() -> None:
    store = Store()
    await bootstrap(store).ensure()
    before = store.trusted()
    store.bundles = ["", ""]
    await bootstrap(store).ensure()
    assert store.trusted() == before


async def test_an_expired_authority_is_trusted_no_more() -> None:
    store = Store()
    expired = issue_ca("old", now=NOW - timedelta(days=9), lifetime=timedelta(days=1))
    bundle = base64.b64encode(expired.certificate.encode()).decode()
    store.bundles = [bundle, bundle]
    await bootstrap(store).ensure()
    assert expired.certificate.strip() not in store.trusted()


async def test_a_slower_process_does_not_take_the_faster_one_s_trust_away() -> None:
    store = Store()
    await bootstrap(store).ensure()
    later = NOW + SETTINGS.ca_lifetime * 0.7

    class Slower(Store):
        """A view in which another process rotates after the first read."""

        async def get(self, resource: Resource, namespace: str, name: str) -> Json:
            found = await store.get(resource, namespace, name)
            if resource is MUTATINGWEBHOOKCONFIGURATIONS:
                await bootstrap(store, later).ensure()
                store.bundles = [*store.bundles]
            return found

        merge_patch = store.merge_patch

    view = Slower(secrets=store.secrets)
    store.bundles = ["", ""]
    with pytest.raises(Overtaken):
        await bootstrap(view, later).ensure()
    assert store.data(SETTINGS.ca_secret, "ca.crt").strip() in store.trusted()
