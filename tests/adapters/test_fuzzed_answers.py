"""What teams' servers and pods answer, as nobody answers: a value, or a fault in words."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from analyzer.addresses import EVERYWHERE
from analyzer.hooks.http import HttpHookCaller
from analyzer.metric_providers.prometheus.answers import history_of, series_of, values_of
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.pod_pages.exposition import read_openmetrics, read_text
from analyzer.pod_pages.scraper import PodScraper, open_scraper
from analyzer.ports import ProviderError
from canary.model.strategy import Hook, HookType
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import MINUTE
from tests.fakes.fuzzed import DEEP, VALUES, Property, cut_or_changed, disturbed
from tests.fakes.listening import LOCAL, listening

# --- answers as values ----------------------------------------------------------------------------

NUMBERS: Final = st.sampled_from(
    [
        "1",
        "NaN",
        "+Inf",
        "-Inf",
        "1e999",
        "-1",
        "0x1",
        "1_0",
        "",
        "one",
        "9" * 5_000,
        "\uff11",
        " 1",
    ]
)
TIMES: Final = st.one_of(st.floats(), st.integers(), st.sampled_from([0, -1, 1e300, 10**400, True]))
LABELS: Final = st.dictionaries(
    st.sampled_from(["__name__", "pod", "le", ""]), st.text(max_size=5) | VALUES, max_size=3
)
POINTS: Final = st.lists(TIMES | NUMBERS, min_size=2, max_size=2) | VALUES
RESULTS: Final[st.SearchStrategy[Any]] = st.one_of(
    VALUES,
    POINTS,
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"metric": LABELS, "value": POINTS}),
            st.fixed_dictionaries({"metric": LABELS, "values": st.lists(POINTS, max_size=3)}),
            st.fixed_dictionaries({"metric": LABELS, "histogram": VALUES}),
        ),
        max_size=4,
    ).map(lambda found: found * 2),
)
PROVIDER: Final = (ProviderError, ArithmeticError, LookupError, TypeError, ValueError)
"""What its adapter says in its own words."""


def is_a_result_or_none(result: Any) -> None:
    """A result is read as numbers, series or a history, or is none of them."""
    for read in (values_of, series_of, history_of):
        try:
            found: Any = read(result, "http://prometheus")
        except PROVIDER:
            continue
        if read is values_of:
            assert all(isinstance(one, float) and not math.isnan(one) for one in found)
        else:
            assert all(type(text) is str for one in found for text in dict(one[0]).values())


# --- pages ----------------------------------------------------------------------------------------

NAMES: Final = frozenset({"a", "a_total", "a_bucket"})
SAMPLES: Final = st.builds(
    "{}{} {}{}".format,
    st.sampled_from(["a", "a_total", "a_bucket", "b", "a_created", "é", '{"a"}', '{"a",']),
    st.sampled_from(
        [
            "",
            '{le="1"}',
            '{le="+Inf"}',
            '{x="\\n"}',
            '{x="',
            "{",
            "{}",
            '{"é"="1"}',
            '{x="1",x="2"}',
        ]
    ),
    NUMBERS,
    st.sampled_from(["", " 123", " -1", " 1e400", " # {} 1", ' # {a="b"} 1 2', " x", " {count:1}"]),
)
LINES: Final = st.one_of(
    SAMPLES,
    st.sampled_from(
        [
            "# TYPE a counter",
            "# TYPE a histogram",
            "# TYPE a gaugehistogram",
            "# TYPE a stateset",
            "# TYPE a info",
            "# UNIT a seconds",
            "# HELP a \\",
            "# EOF",
            "",
            "\r",
            "\x00",
            "#",
        ]
    ),
    st.text(max_size=20),
)
PAGES: Final = st.one_of(
    st.binary(max_size=60),
    st.lists(LINES, max_size=8).map(lambda lines: "\n".join([*lines, "# EOF", ""]).encode()),
    cut_or_changed(st.lists(LINES, max_size=8).map("\n".join)).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(
        [b"a" * 5_000, b"a{" * 2_000, b'a{x="' + b"\\" * 4_000, b"\n" * 200_001, b"\xff"]
    ),
)


def is_a_page_or_none(page: bytes) -> None:
    """A page is read as series with wanted names, or is none."""
    for read in (read_text, read_openmetrics):
        try:
            found = read(page, NAMES)
        except ValueError:
            continue
        assert {one.labels["__name__"] for one in found} <= NAMES
        assert all(isinstance(one.value, float) for one in found)
        assert all(isinstance(text, str) for one in found for text in one.labels.values())


# --- whole answers --------------------------------------------------------------------------------

STATUSES: Final = st.sampled_from(
    [
        *("200 OK", "202 Accepted", "204 None", "301 Moved", "307 There", "400 Bad", "404 None"),
        *(
            "429 Slow",
            "500 Broken",
            "503 Later",
            "999 What",
            "100 Continue",
            "101 Switch",
            "7",
            "é",
        ),
    ]
)
HEADERS: Final = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Content-Type: text/plain; version=0.0.4",
                "Content-Type: application/openmetrics-text; version=1.0.0",
                "Content-Type: application/json",
                "Content-Type: text/plain; charset=klingon",
                "Content-Type: ;",
                "Content-Encoding: gzip",
                "Content-Encoding: é",
                "Location: http://[",
                "Location: http://[::1]:99999/",
                "Location: //",
                "Location: \\",
                "Location: http://user:pw@x/?a=b#c",
                "Location: ",
                "Retry-After: never",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: what",
                "Content-Length: 99999999999999999999",
                "Content-Length: -1",
                "Set-Cookie: a=b",
                ": nothing",
                "no header",
                "X: " + "y" * 9_000,
            ]
        ),
        st.text(max_size=20).filter(lambda text: "\n" not in text),
    ),
    max_size=4,
)
BODIES: Final = st.one_of(
    st.binary(max_size=60),
    PAGES,
    DEEP.map(str.encode),
    RESULTS.map(
        lambda result: json.dumps({"status": "success", "data": {"result": result}}).encode()
    ),
    disturbed(
        {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, "2"]}]}}
    ).map(lambda found: json.dumps(found).encode()),
    VALUES.map(lambda value: json.dumps({"status": "error", "error": value}).encode()),
    st.just(b'{"error":' + b"[" * 50_000),
    st.just(b'{"error":[' + b"1," * 600_000 + b"1]}"),
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw what is sent back over a connection until it is closed."""
    if not draw(st.integers(0, 9)):
        noise: bytes = draw(st.binary(max_size=80))
        return noise
    lines = [f"HTTP/1.1 {draw(STATUSES)}", *draw(HEADERS)]
    body: bytes = draw(BODIES)
    if draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")
    return head + body


class Team:
    """A server of a team's, and all that asks it; `answer` is what each connection gets."""

    def __init__(self) -> None:
        self.answer = b""
        self.loop = asyncio.new_event_loop()
        self.run = self.loop.run_until_complete
        self._listening = listening(self._serve)
        self.url = f"http://{LOCAL}:{self.run(self._listening.__aenter__())}/x"
        self.provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(seconds=20))
        self._opened = open_scraper(timedelta(seconds=20))
        self.scraper: PodScraper = self.run(self._opened.__aenter__())
        self.hooks = HttpHookCaller(EVERYWHERE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        """End all of it."""
        await self.provider.aclose()
        await self._opened.__aexit__(None, None, None)
        await self._listening.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    found = Team()
    yield found
    found.run(found.close())
    found.loop.close()


def is_asked_in_vain_or_not(team: Team, ask: Callable[[], Awaitable[object]]) -> None:
    """Nothing but the port's own error comes of an answer."""

    async def asked() -> None:
        with suppress(ProviderError):
            await ask()

    team.run(asked())


def asks_prometheus(team: Team) -> None:
    spec = ProviderSpec(type="prometheus", address=team.url)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    is_asked_in_vain_or_not(team, lambda: team.provider.query(spec, "up", MINUTE))
    is_asked_in_vain_or_not(team, lambda: team.provider.series(spec, "up"))
    is_asked_in_vain_or_not(
        team,
        lambda: team.provider.history(
            spec, "up", start=start, end=start, step=timedelta(seconds=15)
        ),
    )


def asks_pages(team: Team) -> None:
    is_asked_in_vain_or_not(team, lambda: team.scraper.scrape(team.url, NAMES))


def calls_hooks(team: Team) -> None:
    hook = Hook(name="h", type=HookType.ROLLOUT, url=team.url, timeout=timedelta(seconds=20))
    result = team.run(team.hooks.call(hook, {}))
    assert result.ok or result.message
    assert len(result.message) < 2_000


OF_A_SERVER: Final = {"prometheus": asks_prometheus, "pages": asks_pages, "hooks": calls_hooks}
PROPERTIES: Final[dict[str, Property[Any]]] = {
    "results": Property(RESULTS, is_a_result_or_none, few=100),
    "pages": Property(PAGES, is_a_page_or_none, few=100),
}


def answered(team: Team, who: str, few: int) -> Property[bytes]:
    def holds(answer: bytes) -> None:
        team.answer = answer
        OF_A_SERVER[who](team)

    return Property(answers(), holds, few=few)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_text_is_read_or_refused(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", OF_A_SERVER)
def test_any_answer_is_taken_or_told(team: Team, who: str) -> None:
    answered(team, who, 40).try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_texts_are_read_or_refused(what: str) -> None:
    PROPERTIES[what].try_many()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("who", OF_A_SERVER)
def test_many_answers_are_taken_or_told(team: Team, who: str) -> None:
    answered(team, who, 0).try_many()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad\r\n\r\n" + b'{"error":' + b"[" * 50_000,
        b"HTTP/1.1 400 Bad\r\n\r\n" + b'{"error":[' + b"1," * 600_000 + b"1]}",
        b"HTTP/1.1 400 Bad\r\n\r\n" + b'{"error":' + b"9" * 5_000 + b"}",
        b"HTTP/1.1 301 Moved\r\nLocation: http://[\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://[::1]:99999/\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://a:b@\xe2\x84\x80/\r\n\r\n",
    ],
    ids=["deep", "many", "long", "bracket", "port", "account"],
)
def test_a_refusal_of_any_form_is_told(team: Team, answer: bytes) -> None:
    team.answer = answer
    asks_prometheus(team)
    asks_pages(team)
    calls_hooks(team)
