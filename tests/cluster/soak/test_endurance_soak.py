"""Hundreds of releases while whatever they rest on ends at random: all verdicts right, all flat.

`ENDURANCE_MINUTES` says for how long, `ENDURANCE_RELEASES` how many releases, by as many teams side
by side as that takes, and `ENDURANCE_SEED` which, and what ends when. This ends the API server of
the sandbox, Prometheus, analyzers and webhook pods.
"""

import asyncio
import logging
import math
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from runtime.kube import Cluster
from tests.cluster.kit import Kubectl
from tests.cluster.soak.endured import (
    Span,
    deaths,
    growths,
    joined,
    measured,
    releases,
    wrong_answers,
)
from tests.cluster.soak.endured_deaths import Deaths, is_ours
from tests.cluster.soak.endured_endpoints import Endpoints
from tests.cluster.soak.endured_lives import Lives
from tests.cluster.soak.endured_teams import Beacon, Board, Team, namespaces, plans, set_up, users

MINUTES = float(os.environ.get("ENDURANCE_MINUTES", "20"))
RELEASES = int(os.environ.get("ENDURANCE_RELEASES", "500"))
SEED = int(os.environ.get("ENDURANCE_SEED", "1"))
EACH = 30.0
"""Seconds that a release takes, on average of those that are superseded and those that are not."""
TEAMS = max(1, math.ceil(RELEASES * EACH / (60 * MINUTES)))
WINDOW = 15 * 60.0
"""Seconds before the end in which nothing may grow."""
ENDPOINTS = 12.0
"""Seconds that Contour had endpoints later than a route."""
LONGEST = 20.0
"""Minutes from which on some life of each part is long enough to tell whether it grows."""
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900 + 180 * MINUTES)]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Leave out what our client says of an API server that is away, a hundred times each."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(**before)


@pytest.fixture
def teams_of(exclusive: Kubectl) -> Iterator[list[Kubectl]]:
    if not is_ours():
        pytest.skip("the API server is not of this machine's sandbox")
    with namespaces(exclusive, f"prod-{uuid.uuid4().hex[:6]}", TEAMS) as made:
        yield made


@pytest.mark.usefixtures("quiet")
async def test_releases_are_judged_rightly_and_nothing_grows_whatever_ends_meanwhile(
    teams_of: list[Kubectl], cluster_kubeconfig: Path, gateway: str
) -> None:
    _say(f"ENDURANCE_SEED={SEED}: {RELEASES} releases of {TEAMS} teams in {MINUTES:g} minutes")
    async with asyncio.TaskGroup() as group:
        for number, kubectl in enumerate(teams_of):
            group.create_task(asyncio.to_thread(set_up, kubectl, number, gateway))
    names = [one.namespace for one in teams_of]
    async with Cluster.connect(cluster_kubeconfig) as cluster:
        board, lives, beacon = Board(cluster), Lives(cluster), Beacon(cluster, names[0])
        endpoints = Endpoints(cluster, names)
        ending = Deaths(cluster, random.Random(SEED))  # noqa: S311 - to be found again
        async with users(cluster, board, names, gateway) as teams:
            try:
                beside = [board.run(), lives.run(), beacon.run(), endpoints.run()]
                await _played(teams, beside, ending)
            finally:
                beacon.end(time.monotonic())
                endpoints.end()
                _report(teams, lives, ending)
                _say("\n".join([_lags(beacon.spans), *_late(endpoints), *endpoints.said]))
            left = {one.namespace: await one.leftovers() for one in teams}
    # Endpoints have a watch of their own, and come after the routes (docs/adr/0055).
    late = [(begin, end + ENDPOINTS) for begin, end in beacon.spans]
    away = [*ending.outages, *late]
    wrong = [
        f"{one.namespace}: {line}"
        for one in teams
        for line in _wrongs(one, joined([*away, *endpoints.late.get(one.namespace, ())]))
    ]
    wrong += [f"{name}: {line}" for name, lines in left.items() for line in lines]
    grown = growths(lives.samples, _since(lives))
    wrong += [str(one) for one in grown if one.wrong]
    if MINUTES >= LONGEST and not {"analyzer, leads", "webhook"} <= measured(grown):
        wrong.append(f"no life was long enough but of {sorted(measured(grown))}")
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)
    assert sum(len(one.ended) for one in teams) == RELEASES


async def _played(
    teams: list[Team], beside: Sequence[Coroutine[None, None, None]], ending: Deaths
) -> None:
    """Play all plans, and end what is to end meanwhile."""
    chance = random.Random(SEED)  # noqa: S311 - to be found again
    planned = plans(SEED, len(teams), RELEASES, releases)
    async with asyncio.TaskGroup() as others:
        running = [others.create_task(one) for one in beside]
        async with asyncio.TaskGroup() as group:
            group.create_task(ending.run(tuple(deaths(chance, 60 * MINUTES))))
            for team, plan in zip(teams, planned, strict=True):
                group.create_task(team.play(plan, 60 * MINUTES / len(plan)))
        for task in running:
            task.cancel()


def _since(lives: Lives) -> float:
    last = max((samples[-1].at for samples in lives.samples.values()), default=0.0)
    return last - WINDOW


def _lags(spans: Sequence[Span]) -> str:
    """Say how long the gateway was behind."""
    took = sorted(end - begin for begin, end in spans) or [0.0]
    return f"the gateway was behind {len(spans)} times, {sum(took):.0f} s, longest {took[-1]:.0f} s"


def _late(endpoints: Endpoints) -> list[str]:
    """Say how long the stored endpoints of which team were behind."""
    took = {
        space: sum(end - begin for begin, end in joined(spans))
        for space, spans in sorted(endpoints.late.items())
    }
    return [f"  {space}: stored endpoints behind for {it:.0f} s" for space, it in took.items()]


def _wrongs(team: Team, away: Sequence[Span]) -> list[str]:
    """Return everything that is wrong with a team's releases, in words."""
    # Both clocks are monotonic; they differ in where they begin.
    begin = time.monotonic() - team.traffic.now()
    outages: list[Span] = [(one - begin, end - begin) for one, end in away]
    answers = (
        (at, status, text.rpartition(" ")[2] if status else text)
        for at, status, text in team.traffic.answers
    )
    return [
        *(one.wrong for one in team.ended if one.wrong),
        *(f"{name} became what serves" for name in team.served_by_bad),
        *wrong_answers(team.ended, answers, outages),
    ]


def _report(teams: list[Team], lives: Lives, ending: Deaths) -> None:
    """Print what happened, also of a play that was broken off."""
    ended = [one for team in teams for one in team.ended]
    counts = Counter(f"{one.release.kind} {one.verdict}" for one in ended)
    took = sorted(one.at - one.pushed for one in ended) or [0.0]
    statuses = sum((team.traffic.statuses for team in teams), Counter[int]())
    writes = Counter(text for team in teams for text in team.refused_writes)
    _say("\n".join(ending.said))
    _say(f"{len(ended)} releases: {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}")
    _say(f"seconds to an end: median {took[len(took) // 2]:.1f}, longest {took[-1]:.1f}")
    _say(f"answers by status: {dict(sorted(statuses.items()))}; status 0: none came")
    _say("\n".join(line for team in teams for line in _errors(team)))
    _say(f"pushes that had to be sent again: {writes.total()}")
    for text, times in writes.most_common(5):
        _say(f"  {times} x {text}")
    _say("\n".join(str(one) for one in growths(lives.samples, _since(lives))))


def _errors(team: Team) -> list[str]:
    """Say in which minutes a team's gateway had nobody to send to."""
    minutes = Counter(int(at // 60) for at, status, _ in team.traffic.answers if status == 503)
    return [f"  {team.namespace}: {n} x 503 in minute {at}" for at, n in sorted(minutes.items())]


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the figures are what a soak is for
