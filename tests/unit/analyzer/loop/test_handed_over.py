"""Announcements survive a restart in the status, and are handed over once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import Command
from canary.model.announcement import Alert, Announcement, Severity
from canary.model.values import Json
from canary.spec.alerts import admins_alerts
from canary.spec.canary import Defaults
from runtime.errors import ApiError
from runtime.resources import CANARIES
from tests.fakes.bench import KEY, Bench, held, ready, status

WRITES = ("merge_patch status", "json_patch status")
ALERTS = [{"name": "chat", "providerRef": {"name": "chat"}}]


@dataclass
class Ear:
    """Hears what is handed over; `dies` at that moment."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    dies: bool = False

    def put(self, canary: Json, alerts: Sequence[Alert], said: Sequence[Announcement]) -> None:
        assert "alerts" not in canary["status"]["run"], "what is sent is not stored any more"
        if self.dies:
            raise KeyboardInterrupt
        self.heard += [(alert.name, one.reason) for one in said for alert in alerts]


def running(**analysis: Any) -> tuple[Bench, Ear]:
    ear = Ear()
    return held(Bench(announcer=ear), **{"alerts": ALERTS, **analysis}), ear


def waiting(bench: Bench) -> list[str]:
    return [one["reason"] for one in status(bench)["run"].get("alerts") or ()]


async def test_what_is_announced_is_stored_first_and_handed_over_at_the_next_look() -> None:
    bench, ear = running()
    result = await bench.reconcile()
    assert result.requeue_after == timedelta(0)
    assert (waiting(bench), ear.heard) == (["Held"], [])
    await bench.reconcile()
    assert (waiting(bench), ear.heard) == ([], [("chat", "Held")])
    for _ in range(3):
        await bench.reconcile()
    assert ear.heard == [("chat", "Held")]


async def test_a_successor_hands_over_what_was_not_and_nothing_that_was() -> None:
    bench, _ = running()
    await bench.reconcile()
    successor = Ear()
    bench.announcer = successor
    await bench.reconcile()
    assert successor.heard == [("chat", "Held")]
    bench.announcer = third = Ear()
    for _ in range(3):
        await bench.reconcile()
    assert third.heard == []


async def test_a_death_as_it_is_handed_over_sends_nothing_twice() -> None:
    bench, ear = running()
    await bench.reconcile()
    ear.dies = True
    with pytest.raises(KeyboardInterrupt):
        await bench.reconcile()
    bench.announcer = successor = Ear()
    for _ in range(3):
        await bench.reconcile()
    assert successor.heard == []


async def test_what_cannot_be_taken_out_of_the_status_is_not_sent() -> None:
    bench, ear = running()
    await bench.reconcile()
    away = ApiError(500, "InternalError", "no")
    bench.cluster.denials |= {(verb, "canaries"): away for verb in WRITES}
    with pytest.raises(ApiError):
        await bench.reconcile()
    assert ear.heard == []
    bench.cluster.denials.clear()
    await bench.reconcile()
    assert ear.heard == [("chat", "Held")]


async def test_a_writer_who_was_overtaken_sends_nothing() -> None:
    bench, ear = running()
    await bench.reconcile()

    def another() -> None:
        canary = bench.canary(KEY)
        assert canary is not None
        canary["status"]["run"]["alerts"] = None
        bench.cluster.put(CANARIES, canary)

    bench.cluster.meanwhile = another
    await bench.reconcile()
    assert ear.heard == []


async def test_the_end_of_a_run_is_announced_though_its_target_rests() -> None:
    bench, ear = running()
    for _ in range(2):
        await bench.reconcile()
    ready(bench)
    # Back to what serves: the run ends without a verdict, and nothing is held.
    bench.write("web:1", {"headgate.dev/hold": None, "headgate.dev/stable": None}, paused=False)
    for _ in range(8):
        await bench.reconcile()
        bench.now += timedelta(minutes=1)
    assert ear.heard == [("chat", "Held"), ("chat", "Reverted")]


async def test_an_abort_is_announced_once() -> None:
    bench, ear = running()
    for _ in range(2):
        await bench.reconcile()
    bench.write("web:2", {Command.ABORT: "now"}, paused=True)
    for _ in range(8):
        await bench.reconcile()
        bench.now += timedelta(minutes=1)
    assert ear.heard == [("chat", "Held"), ("chat", "Aborted")]


async def test_without_alerts_no_look_more_is_taken() -> None:
    bench, ear = running(alerts=[])
    await bench.reconcile()
    assert "alerts" not in status(bench)["run"]
    assert ear.heard == []


async def test_alerts_that_were_written_since_count() -> None:
    bench, ear = running()
    await bench.reconcile()
    canary = bench.canary(KEY)
    assert canary is not None
    canary["spec"]["analysis"]["alerts"][0]["name"] = "other"
    bench.cluster.put(CANARIES, canary)
    await bench.reconcile()
    assert ear.heard == [("other", "Held")]


async def test_a_version_that_cannot_be_judged_is_a_warning_once_until_it_is_mended() -> None:
    bench, ear = running(interval="soon")
    for _ in range(6):
        await bench.reconcile()
        bench.now += timedelta(minutes=1)
    assert ear.heard == [("chat", "InvalidConfiguration")]
    canary = bench.canary(KEY)
    assert canary is not None
    canary["spec"]["analysis"]["interval"] = "30s"
    bench.cluster.put(CANARIES, canary)
    for _ in range(3):
        await bench.reconcile()
    assert ear.heard == [("chat", "InvalidConfiguration"), ("chat", "Held")]


@pytest.mark.parametrize(
    ("own", "heard"), [([], [("infra/chat", "Held")]), (ALERTS, [("chat", "Held")])]
)
async def test_the_admin_s_alert_is_for_canaries_without_one(
    own: list[Json], heard: list[tuple[str, str]]
) -> None:
    bench, ear = running(alerts=own)
    bench.defaults = Defaults(alerts=admins_alerts("infra/chat", Severity.INFO))
    for _ in range(3):
        await bench.reconcile()
    assert ear.heard == heard
