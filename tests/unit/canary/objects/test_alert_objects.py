"""Alerts as objects have them: the Canary's entries, AlertProviders, and what the status keeps."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from canary.model.announcement import Alert, Announcement, Severity
from canary.model.state import State
from canary.model.values import Json
from canary.objects.alert_providers import room_of, secret_of
from canary.objects.status import state_from_status, status_from_state
from canary.spec.alerts import admins_alerts, alerts_of, parse_provider
from tests.fakes import objects

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SAID = Announcement(
    subject="web.prod",
    reason="Refused",
    message="bad",
    severity=Severity.ERROR,
    fields=(("Target", "Deployment/web.prod"),),
)


def provider(**spec: Any) -> Json:
    return {"metadata": {"name": "chat", "namespace": "prod"}, "spec": {"type": "slack", **spec}}


def secret(**data: str) -> Json:
    return {"data": {name: base64.b64encode(it.encode()).decode() for name, it in data.items()}}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({}, Severity.INFO),
        ({"severity": ""}, Severity.INFO),
        ({"severity": None}, Severity.INFO),
        ({"severity": "info"}, Severity.INFO),
        ({"severity": "warn"}, Severity.WARN),
        ({"severity": "error"}, Severity.ERROR),
        ({"severity": "panic"}, Severity.INFO),
    ],
)
def test_an_empty_severity_hears_everything(said: Json, read: Severity) -> None:
    canary = objects.canary(alerts=[{"name": "a", "providerRef": {"name": "chat"}, **said}])
    assert alerts_of(canary) == (Alert(name="a", severity=read, namespace="prod", provider="chat"),)


def test_a_provider_may_be_in_another_namespace() -> None:
    ref = {"name": "chat", "namespace": "infra"}
    (one,) = alerts_of(objects.canary(alerts=[{"name": "a", "providerRef": ref}]))
    assert one.namespace == "infra"


def test_a_canary_without_alerts_has_none() -> None:
    assert alerts_of(objects.canary()) == ()
    assert alerts_of(objects.canary(alerts=[{"name": "a"}])) == ()


def test_what_is_not_said_is_as_documented() -> None:
    room = room_of(provider(address="http://chat/"), None)
    assert (room.address, room.channel, room.username) == ("http://chat/", "general", "headgate")
    assert (room.token, room.proxy) == ("", "")


def test_all_fields_are_read() -> None:
    found = provider(secretRef={"name": "s"}, channel="c", username="u", proxy="http://p/")
    assert secret_of(found) == "s"
    room = room_of(found, secret(address="https://chat/x\n", token="t \n"))  # noqa: S106 - of nobody
    assert (room.address, room.token, room.proxy) == ("https://chat/x", "t", "http://p/")
    assert (room.channel, room.username) == ("c", "u")
    assert "chat/x" not in repr(room)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "it has no address"),
        ({}, "it has no address"),
        (secret(channel="t"), "it has no address"),
        ({"data": {"address": "/w=="}}, "address of its Secret is no text"),
        ({"data": {"address": "a"}}, "address of its Secret is no text"),
    ],
)
def test_what_cannot_be_sent_to_is_said(found: Json | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        room_of(provider(secretRef={"name": "s"}), found)


def test_what_is_yet_to_be_sent_is_kept_in_the_status() -> None:
    state = State(alerts=(SAID,), waited_for=("Paused",))
    status = status_from_state(state, previous={}, generation=1, now=NOW)
    read = state_from_status(status)
    assert (read.alerts, read.waited_for) == ((SAID,), ("Paused",))
    empty = status_from_state(State(), previous=status, generation=1, now=NOW)
    assert (empty["run"]["alerts"], empty["run"]["waitedFor"]) == (None, None)


@pytest.mark.parametrize(
    "stored",
    [
        "text",
        {"a": 1},
        [1, None, "x", {}, {"fields": []}],
        [{"subject": "s", "reason": "r", "message": "m", "severity": "panic", "fields": []}],
        [{"subject": "s", "reason": "r", "message": "m", "severity": "info", "fields": [1]}],
    ],
)
def test_what_another_release_has_stored_there_is_left_out(stored: object) -> None:
    assert state_from_status({"run": {"alerts": stored}}).alerts == ()


def test_the_admin_names_one_provider_or_none() -> None:
    assert admins_alerts("", Severity.WARN) == ()
    (one,) = admins_alerts(parse_provider(" infra/chat.of-all "), Severity.WARN)
    assert (one.namespace, one.provider, one.admins) == ("infra", "chat.of-all", True)
    assert one.hears(Severity.ERROR)
    assert not one.hears(Severity.INFO)


@pytest.mark.parametrize("text", ["chat", "/", "a/", "/b", "a/b/c", "A/b", "a b/c", "https://x"])
def test_what_names_no_provider_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="namespace and name of an AlertProvider"):
        parse_provider(text)
