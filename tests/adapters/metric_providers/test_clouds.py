"""The contract of a MetricProvider, for those that are asked by somebody's identity.

The other side is a local server that answers in the form that each service documents.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from analyzer.addresses import EVERYWHERE, Guard
from analyzer.fetching import LONGEST, Fetcher
from analyzer.ports import MetricProvider, ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.clouds_api import (
    CASES,
    NOW,
    Case,
    Points,
    Service,
    text,
)
from tests.adapters.metric_providers.prometheus_api import MINUTE, Reply, endless, stay_silent


@dataclass
class World:
    case: Case
    provider: MetricProvider
    spec: ProviderSpec
    there: Service

    async def ask(self, *series: Points) -> list[float]:
        self.there.reply = self.case.series(series)
        return sorted(await self.provider.query(self.spec, self.case.query, MINUTE))

    async def complaint(self, reply: Reply | None = None) -> str:
        self.there.reply = reply
        with pytest.raises(ProviderError) as caught:
            await self.provider.query(self.spec, self.case.query, MINUTE)
        return str(caught.value)


def fetcher(guard: Guard = EVERYWHERE, seconds: float = 10) -> Fetcher:
    return Fetcher(guard, answer=timedelta(seconds=seconds), clock=lambda: NOW)


@pytest.fixture(params=CASES, ids=lambda case: case.type)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    case, there = request.param, Service()
    async with there.serve() as address:
        yield World(case, case.make(fetcher()), case.spec(address), there)


@pytest.mark.parametrize(
    ("series", "values"),
    [
        ([[(60, 1.5)]], [1.5]),
        ([[(60, 0.0)]], [0.0]),
        ([[(180, 9.0), (120, 8.0), (60, 2.5)]], [2.5]),
        ([[(60, 2.5), (120, 8.0), (180, 9.0)]], [2.5]),
        ([[(120, 8.0), (60, None)]], [8.0]),
        ([[(60, None)]], []),
        ([[]], []),
        ([], []),
        ([[(60, 1.0)], [(60, 3.0)]], [1.0, 3.0]),
        ([[(60, 1.0)], [(300, 99.0)]], [1.0]),
        ([[(700, 99.0)]], []),
    ],
    ids=[
        "one", "zero", "oldest first", "newest first", "null is passed over", "only null",
        "no points", "no series", "several series", "one that has ended", "older than the window",
    ],
)  # fmt: skip
async def test_gives_the_newest_values(
    world: World, series: Sequence[Points], values: list[float]
) -> None:
    assert await world.ask(*series) == values


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "mend the query"),
        (401, "the Secret has the right keys"),
        (403, "may query it"),
        (429, "ask it less often"),
        (503, "its logs or its vendor's status page"),
    ],
)
async def test_says_what_was_refused_in_the_services_own_words(
    world: World, status: int, advice: str
) -> None:
    said = await world.complaint(world.case.refusal(status, "no such luck"))

    assert f"answers {status}" in said
    assert "no such luck" in said
    assert advice in said


async def test_shows_no_secret_that_an_answer_quotes(world: World) -> None:
    secret = [*world.spec.secret.values()][-1].strip()
    said = await world.complaint(world.case.refusal(403, f"{secret} is unknown"))

    assert "answers 403" in said
    assert secret not in said
    assert "is unknown" not in said


@pytest.mark.parametrize(
    "body", ["<html>intranet</html>", "[]", '"x"', '{"x": 1', "null", '{"items": [{"a": 1}]}']
)
async def test_says_that_something_else_answers(world: World, body: str) -> None:
    said = await world.complaint(text(body))

    assert "intranet" not in said
    assert "see whether the address leads to" in said or "at its end" in said


async def test_reads_no_more_than_it_may(world: World) -> None:
    assert f"answers more than {LONGEST // 1024} KiB" in await world.complaint(endless)


async def test_ends_with_its_time(world: World) -> None:
    world.provider = world.case.make(fetcher(seconds=0.2))

    assert "has not answered within" in await world.complaint(stay_silent)


async def test_follows_no_redirect_to_elsewhere(world: World) -> None:
    said = await world.complaint(text("", 302, Location="http://169.254.169.254/"))

    assert "a redirect" in said
    assert len(world.there.requests) == 1


async def test_asks_no_address_that_is_denied(world: World) -> None:
    world.provider = world.case.make(fetcher(Guard()))

    assert "HEADGATE_ALLOWED_ADDRESSES" in await world.complaint()
    assert not world.there.requests


async def test_says_that_an_address_is_none(world: World) -> None:
    world.spec = replace(world.spec, address="ftp://x")

    assert "write it as http" in await world.complaint()
