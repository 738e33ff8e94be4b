"""That the load of the benchmark is steady and honest, and what it counts as lost in a switch."""

import asyncio
import time
from collections import Counter

import pytest

from tests.bench.figures import Figure, Section
from tests.bench.load import LoadError
from tests.bench.paced import CONNECTIONS, UNANSWERED, Paced, Sent, load
from tests.bench.switches import Tally, rows, share_of
from tests.cluster.kit import proxy, route, virtual_service, wait_for
from tests.fakes.listening import LOCAL, listening


def answer(status: int, text: str, *more: str) -> bytes:
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", *more]
    return ("\r\n".join(head) + "\r\n\r\n" + text).encode()


class App:
    """Answers each request by its number; None ends the connection without an answer."""

    def __init__(self, answers: dict[int, bytes | None]) -> None:
        self._answers = answers
        self.requests = 0
        self.connections = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                said = self._answers.get(self.requests, answer(200, "headgate demo 1.0\n"))
                self.requests += 1
                if said is None:
                    return
                writer.write(said)
                await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            self.open -= 1
            writer.close()

    async def ended(self) -> None:
        """Return when no connection is left; the test's own deadline is how long that may take."""
        while self.open:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)


async def sent_to(
    app: App, requests: int, rate: float = 1000.0, connections: int = CONNECTIONS
) -> list[Sent]:
    async with listening(app.serve) as port:
        paced = Paced(LOCAL, port, "web.example", rate, connections)
        await paced.run(asyncio.Event(), requests / rate)
        await app.ended()
    return paced.sent


async def test_each_request_is_sent_once_when_it_is_due_on_connections_that_are_kept() -> None:
    app = App({})
    # With as many as it likes, a stall of this machine decides how many there are.
    sent = await sent_to(app, 200, connections=1)
    assert Counter((one.status, one.text) for one in sent) == {(200, "headgate demo 1.0"): 200}
    assert app.requests == 200
    assert app.connections == 1
    dues = sorted(one.due for one in sent)
    assert dues[-1] - dues[0] == pytest.approx(0.199, abs=1e-6)


async def test_what_is_not_answered_is_told_and_not_sent_again() -> None:
    app = App(
        {
            3: None,
            5: answer(503, "upstream connect error"),
            7: b"HTTP/1.1 200 OK\r\n\r\n",
            9: answer(500, "headgate demo bad\n", "Connection: close"),
        }
    )
    sent = await sent_to(app, 20, rate=50.0)
    assert app.requests == 20
    assert Counter(one.status for one in sent) == {200: 16, UNANSWERED: 2, 503: 1, 500: 1}
    said = sorted(one.text for one in sent if one.status == UNANSWERED)
    assert "no answer of HTTP/1.1" in said[0]
    assert "the connection ended" in said[1]


async def test_a_gateway_that_is_not_there_answers_nothing() -> None:
    async with listening(App({}).serve) as port:
        pass
    paced = Paced(LOCAL, port, "web.example", 100.0)
    await paced.run(asyncio.Event(), 0.1)
    assert [one.status for one in paced.sent] == [UNANSWERED] * 10


async def test_a_process_of_its_own_sends_until_the_end_and_tells_all() -> None:
    app = App({})
    began = time.monotonic()

    def loaded(port: int) -> list[Sent]:
        with load(LOCAL, port, "web.example", rate=100.0, most=60.0) as requests:
            wait_for("requests", lambda: app.requests > 20, 30)
        return requests.sent

    async with listening(app.serve) as port:
        sent = await asyncio.to_thread(loaded, port)
        await app.ended()
    assert len(sent) == app.requests
    assert {one.status for one in sent} == {200}
    end = time.monotonic()
    assert all(began < one.due < end for one in sent), "by one clock for all processes"


def test_a_load_that_ends_before_it_should_is_an_error() -> None:
    with (
        pytest.raises(LoadError, match="what sends requests has"),
        load(LOCAL, 1, "web.example", rate=100.0, most=0.0),
    ):
        pass


GOOD = Sent(1.0, 0.01, 200, "headgate demo 1.1")
BAD = Sent(2.0, 0.01, 500, "headgate demo bad")


@pytest.mark.parametrize(
    ("one", "bad", "lost", "own"),
    [
        (GOOD, "", 0, 0),
        (BAD, "bad", 0, 1),
        (BAD, "", 1, 0),
        (Sent(2.0, 0.01, 500, "headgate demo 1.0"), "bad", 1, 0),
        (Sent(2.0, 0.01, 200, "a page of the gateway"), "bad", 1, 0),
        (Sent(2.0, 0.01, 503, "no healthy upstream"), "bad", 1, 0),
        (Sent(2.0, 0.01, 503, "headgate demo bad"), "bad", 1, 0),
        (Sent(2.0, 10.0, UNANSWERED, "TimeoutError()"), "bad", 1, 0),
    ],
    ids=["good", "own", "no bad one", "stable", "stranger", "gateway", "other status", "none"],
)
def test_what_counts_as_lost_in_a_switch(one: Sent, bad: str, lost: int, own: int) -> None:
    tally = Tally(sent=[GOOD, one], bad=bad)
    assert (len(tally.lost), tally.own) == (lost, own)


def test_a_request_that_a_switch_cost_fails_the_bench_and_is_told_with_the_switch() -> None:
    steady = [Sent(at / 500, 0.01, 200, "headgate demo 1.0") for at in range(1000)]
    lost = Sent(1.5, 0.02, 503, "no healthy upstream")
    [kept, *_] = rows("k", Tally(sent=steady), [(1.4, 25)])
    assert kept.row()[1:] == ("0 of 1000", "<= 0 of 1000", "-")
    found = rows("k", Tally(sent=[*steady, lost]), [(1.4, 25), (1.9, 50)])
    assert Section("s", found).has_failed
    assert not Section("s", rows("k", Tally(sent=steady), [])).has_failed
    assert found[0].note == (
        "shares 25 50: 1000 x 200 of 1.0, 1 x 503 of nobody; "
        "lost 0.12 s after share 25, after 0.02 s: 503 no healthy upstream"
    )


def test_a_load_that_was_not_held_fails_the_bench() -> None:
    slow = [Sent(at / 400, 0.01, 200, "headgate demo 1.0") for at in range(1000)]
    assert Section("s", rows("k", Tally(sent=slow), [])).has_failed


def test_an_aim_that_does_not_bind_fails_nothing() -> None:
    missed = Figure(name="f", value=2, unit="s", aim=1)
    assert not Section("s", [missed]).has_failed
    assert Section("s", broken="it fell over").has_failed


@pytest.mark.parametrize("made", [route, proxy])
def test_the_share_on_a_route_is_read_in_percent(made: object) -> None:
    assert callable(made)
    found = made("web.example")
    assert share_of(found) == 0
    backends = found["spec"].get("routes", [{}])[0].get("services")
    backends = backends or found["spec"]["rules"][0]["backendRefs"]
    backends[0]["weight"] = 3
    backends.append({"name": "web-canary", "port": 80, "weight": 1})
    assert share_of(found) == 25


def test_the_share_on_a_route_of_istio_is_read_by_its_hosts() -> None:
    found = virtual_service()
    assert share_of(found) == 0
    destinations = found["spec"]["http"][0]["route"]
    destinations[0]["weight"] = 60
    canary = {"host": "web-canary.prod.svc.cluster.local"}
    destinations.append({"destination": canary, "weight": 40})
    assert share_of(found) == 40
