"""Every write of a run: the analyzer ends before and after it, or the API server answers otherwise.

The writes are found by playing a story once; `-s` prints them. Here a part of them has a turn with
one of the faults; every write with every fault is `make soak`.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

import pytest

from runtime.resources import INGRESSES
from tests.harness.client import Write
from tests.harness.ears import Hearing
from tests.harness.faults import DEATHS, Fault
from tests.harness.played import Point, hear, points_of, some_points_of, try_out, writes_of
from tests.harness.stories import STORIES, Story

KNOWN: Final = frozenset(
    {
        "create events",
        "create canaries",
        "create services",
        "create deployments",
        "apply services",
        "apply deployments",
        "merge_patch canaries/status",
        "merge_patch canaries/status condition",
        "merge_patch deployments",
        "merge_patch deployments/status",
        "json_patch deployments/status",
        "merge_patch httproutes",
        "create ingresses",
        "merge_patch ingresses",
        "delete ingresses",
        "merge_patch pods",
        "merge_patch replicasets",
        "merge_patch replicasets/scale",
        "delete services",
        "delete deployments",
        "delete replicasets",
    }
)
FOUND: Final[dict[str, list[Write]]] = {}
BY_NAME: Final = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
TWICE: Final = 2


def found(story: Story) -> list[Write]:
    """Return a story's writes, which are found once."""
    if story.name not in FOUND:
        FOUND[story.name] = writes_of(story)
    return FOUND[story.name]


def listed(story: Story) -> str:
    """Return a story's writes, one line for those of a kind that follow each other."""
    runs = groupby(enumerate(found(story)), key=lambda it: it[1].kind)
    lines = [f"{story.name}: {len(found(story))} writes"]
    for kind, run in runs:
        numbers = [number for number, _ in run]
        lines.append(f"  {numbers[0]:3}..{numbers[-1]:<3} {kind}")
    return "\n".join(lines)


def failures(points: list[Point]) -> Iterator[str]:
    """Yield what is wrong after each point that is tried."""
    for point in points:
        if why := try_out(point):
            yield f"{point} ({found(point.story)[point.number]}): {why}"


@BY_NAME
def test_a_story_has_the_writes_that_it_is_there_for(story: Story) -> None:
    print(listed(story))  # noqa: T201 - the list is asked for
    assert story.kinds <= {write.kind for write in found(story)}


def test_all_kinds_of_writes_are_found() -> None:
    kinds = {write.kind for story in STORIES for write in found(story)}
    assert kinds >= KNOWN


@BY_NAME
@pytest.mark.timeout(300)
def test_a_run_ends_well_whatever_happens_to_one_of_its_writes(story: Story) -> None:
    points = some_points_of(story, found(story))
    print(f"{story.name}: {len(points)} cases")  # noqa: T201 - the figures are asked for
    assert points
    assert list(failures(points)) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
@pytest.mark.parametrize("name", ["after-refusal", "next"])
def test_no_verdict_outlives_the_next_hold_whatever_happens_to_its_write(
    name: str, fault: Fault
) -> None:
    [story] = [one for one in STORIES if one.name == name]
    [*_, number] = [at for at, write in enumerate(found(story)) if write.part == "condition"]
    assert list(failures([Point(story, number, fault)])) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [it.name for it in STORIES if it.name.startswith("ingress")])
def test_no_ingress_is_left_behind_whatever_happens_to_any_of_its_writes(name: str) -> None:
    [story] = [one for one in STORIES if one.name == name]
    points = [
        Point(story, number, fault)
        for number, write in enumerate(found(story))
        if write.resource == INGRESSES
        for fault in Fault
    ]
    assert points
    assert list(failures(points)) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("hearing", Hearing, ids=lambda hearing: hearing.name)
@pytest.mark.parametrize("name", ["supersede", "undo"])
def test_a_run_ends_well_however_its_watches_are(name: str, hearing: Hearing) -> None:
    [story] = [one for one in STORIES if one.name == name]
    assert hear(story, hearing) == ""


# --- all of it ----------------------------------------------------------------------------------


@pytest.mark.soak
@BY_NAME
@pytest.mark.timeout(3600)
def test_every_write_of_a_run_with_every_fault(story: Story) -> None:
    points = points_of(story, found(story))
    print(f"{listed(story)}\n{len(points)} cases")  # noqa: T201 - the figures are asked for
    assert list(failures(points)) == []


@pytest.mark.soak
@BY_NAME
@pytest.mark.timeout(3600)
def test_every_write_of_a_run_with_a_fault_that_lasts(story: Story) -> None:
    lasting = [fault for fault in Fault if fault not in {*DEATHS, Fault.LOST, Fault.REPEATED}]
    points = [
        Point(story, number, fault, times=TWICE)
        for number in range(len(found(story)))
        for fault in lasting
    ]
    assert list(failures(points)) == []


@pytest.mark.soak
@BY_NAME
@pytest.mark.parametrize("hearing", Hearing, ids=lambda hearing: hearing.name)
@pytest.mark.timeout(3600)
def test_every_run_with_every_watch(story: Story, hearing: Hearing) -> None:
    assert hear(story, hearing) == ""
