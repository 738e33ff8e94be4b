"""Events are told to hooks once each, also those with which a run ends and its target rests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from canary.model.announcement import Told
from canary.model.strategy import Hook
from canary.model.values import Json
from canary.spec.canary import Defaults
from tests.fakes.bench import Bench, held, ready, status

HOOKS = [{"name": "bus", "type": "event", "url": "http://bus"}]


@dataclass
class Ear:
    """Hears what is handed over; `dies` at that moment."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    dies: bool = False

    def tell(self, canary: Json, hooks: Sequence[Hook], said: Sequence[Told]) -> None:
        assert "told" not in canary["status"]["run"], "what is told is not stored any more"
        if self.dies:
            raise KeyboardInterrupt
        self.heard += [(hook.name, one.message) for one in said for hook in hooks]


async def ended(bench: Bench) -> None:
    """Give the version up: the run ends without a verdict, and nothing is held."""
    for _ in range(2):
        await bench.reconcile()
    ready(bench)
    bench.write("web:1", {"headgate.dev/hold": None, "headgate.dev/stable": None}, paused=False)
    for _ in range(8):
        await bench.reconcile()
        bench.now += timedelta(minutes=1)


async def test_every_event_of_a_run_is_told_once_to_its_end() -> None:
    ear = Ear()
    bench = held(Bench(reporter=ear), webhooks=HOOKS)
    await ended(bench)
    messages = [message for _, message in ear.heard]
    assert len(messages) == len(set(messages)) == 2
    assert "Aborted" in messages[-1]
    assert not status(bench)["run"].get("told")


async def test_a_death_as_it_is_handed_over_tells_nothing_twice() -> None:
    ear = Ear(dies=True)
    bench = held(Bench(reporter=ear), webhooks=HOOKS)
    await bench.reconcile()
    with pytest.raises(KeyboardInterrupt):
        await bench.reconcile()
    bench.reporter = successor = Ear()
    for _ in range(3):
        await bench.reconcile()
    assert not [said for said in successor.heard if "Holding" in said[1]]


async def test_the_admins_hook_is_for_canaries_without_one() -> None:
    ear = Ear()
    bench = held(Bench(reporter=ear))
    bench.defaults = Defaults(event_webhook="http://ops/events")
    for _ in range(3):
        await bench.reconcile()
    assert {name for name, _ in ear.heard} == {"HEADGATE_EVENT_WEBHOOK"}


async def test_without_a_hook_nothing_is_stored() -> None:
    ear = Ear()
    bench = held(Bench(reporter=ear))
    await bench.reconcile()
    assert "told" not in status(bench)["run"]
