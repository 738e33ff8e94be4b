"""What a run costs the API server: reads and writes, reconcile by reconcile."""

import asyncio
from collections import Counter

import pytest

from tests.fakes.loop import ImpatientLoop
from tests.harness.counted import Calls, Count
from tests.harness.stage import Stage
from tests.harness.stories import STORIES

TARGET = {"get deployments": 1}
WAYS = ("promotion", "a-b", "sticky", "by-pods", "ingress")
BEFORE = 11.0
"""Reads per reconcile of the story `promotion` when everything was asked for."""


def played(name: str) -> list[Calls]:
    """Play a story to its end, and return its reconciles."""
    [story] = [it for it in STORIES if it.name == name]
    count = Count()

    async def play() -> None:
        stage = Stage(**story.stage)
        stage.reach = count.way
        async with asyncio.timeout(1200), stage.playing():
            await story.plays(stage)
            await stage.until("the end", lambda: story.is_over(stage))

    loop = ImpatientLoop()
    try:
        with count.listening():
            loop.run_until_complete(play())
    finally:
        loop.close()
    return count.done


def in_its_steps(done: list[Calls]) -> list[Calls]:
    """Return the reconciles from a canary's first share until its fate is decided."""
    steps = [at for at, it in enumerate(done) if "SetTraffic" in it.actions]
    ends = [at for at, it in enumerate(done) if it.phase not in {"Initialized", "Progressing"}]
    first = next(it for it in steps if "Emit" in done[it].actions)
    return done[first + 1 : ends[0]]


@pytest.mark.parametrize("name", WAYS)
def test_a_reconcile_of_a_run_reads_nothing_but_the_target_before_a_write(name: str) -> None:
    found = in_its_steps(played(name))
    assert len(found) >= 2
    for one in found:
        assert one.reads == (TARGET if one.actions else {}), one
        assert one.actions or not one.writes, one


def test_a_step_is_three_writes() -> None:
    steps = [it for it in in_its_steps(played("promotion")) if "SetTraffic" in it.actions]
    assert steps
    for one in steps:
        assert one.writes == {
            "create events": 1,
            "merge_patch canaries/status": 1,
            "merge_patch httproutes": 1,
        }


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("refusal", "merge_patch httproutes"),
        ("by-pods-refused", "merge_patch pods"),
        ("ingress-refused", "merge_patch ingresses"),
    ],
)
def test_a_refusal_takes_the_traffic_before_all_is_read_once_more(name: str, write: str) -> None:
    [refusing] = [it for it in played(name) if "MarkRefused" in it.actions]
    assert refusing.order[:2] == ["get deployments", write]
    # What cannot be taken back rests on what is stored.
    writes = [at for at, it in enumerate(refusing.order) if "_" in it or it.startswith("create")]
    fresh = {"get canaries", "list replicasets", "list pods"}
    assert fresh <= set(refusing.order[writes[0] : writes[1]])


def test_a_run_from_its_beginning_to_its_end_reads_a_fifth_of_what_it_would_ask_for() -> None:
    done = played("promotion")
    reads = sum((it.reads for it in done), Counter())
    assert reads.total() / len(done) < BEFORE / 4, reads
    # Decided on what is stored: once before it rolls.
    assert reads["get canaries"] == 1
