"""How long nothing is made in the place of a Canary that somebody has deleted."""

from dataclasses import dataclass, field
from datetime import timedelta

from analyzer.loop.absences import REPLACED_WITHIN, Absences
from canary.model.values import Key
from runtime.resources import CANARIES
from tests.fakes.bench import Bench, held

WEB, API = (Key(namespace="prod", name=name) for name in ("web", "api"))
NONE = timedelta(0)


@dataclass
class Time:
    now: float = 1000.0
    absences: Absences = field(init=False)

    def __post_init__(self) -> None:
        self.absences = Absences(lambda: self.now)


def test_it_lasts_as_long_as_a_replacement_may_take_and_no_longer() -> None:
    time = Time()
    time.absences.begin(WEB)
    time.now += 4
    assert time.absences.left(WEB) == REPLACED_WITHIN - timedelta(seconds=4)
    assert time.absences.left(API) == NONE
    time.now += 6
    assert time.absences.left(WEB) == NONE


def test_a_second_deletion_begins_it_anew_and_a_new_canary_ends_it() -> None:
    time = Time()
    time.absences.begin(WEB)
    time.now += 9
    time.absences.begin(WEB)
    time.now += 9
    assert time.absences.left(WEB) == timedelta(seconds=1)
    time.absences.end(WEB)
    assert time.absences.left(WEB) == NONE


def test_those_that_nobody_asks_for_are_forgotten() -> None:
    time = Time()
    for number in range(1000):
        time.absences.begin(Key(namespace="prod", name=f"web-{number}"))
        time.now += 1
    assert len(time.absences._since) <= 11  # noqa: SLF001 - what it has kept


async def test_a_held_target_waits_for_the_new_one_and_then_goes_back_to_the_defaults() -> None:
    bench = held(Bench(made_after=timedelta(seconds=3)))
    bench.cluster.remove(CANARIES, "prod", "web")
    assert (await bench.reconcile()).requeue_after == timedelta(seconds=3)
    assert bench.canary(WEB) is None
    bench.made_after = NONE
    await bench.reconcile()
    found = bench.canary(WEB)
    assert found is not None
    assert found["spec"]["analysis"] == {}


async def test_whoever_has_one_waits_for_nothing() -> None:
    bench = held(Bench(made_after=timedelta(seconds=3)))
    assert (await bench.reconcile()).requeue_after == NONE
