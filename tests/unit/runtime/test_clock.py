"""The API server's time: from the Date of its answers, whatever the machine's clock does."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import DRIFT, ServerClock
from runtime.resources import PODS
from tests.unit.runtime.scripted_api import Answer, ScriptedApi

SERVER = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = 3600.0


class Scene:
    """A server and a machine, whose clocks are ours to set; true time is the server's."""

    def __init__(self, machine: float = 0.0) -> None:
        self.passed = 0.0
        self.machine = machine
        self.server_step = 0.0

    @property
    def server(self) -> float:
        return SERVER.timestamp() + self.passed + self.server_step

    def clock(self, monotonic: float = 1000.0) -> ServerClock:
        return ServerClock(lambda: monotonic + self.passed, lambda: self.machine)

    def answer(self, clock: ServerClock, *, there: float, back: float) -> None:
        """Let one request and its answer take their time."""
        sent = clock.monotonic()
        self.passed += there
        date = http_date(self.server)
        self.passed += back
        clock.hear(date, sent=sent, received=clock.monotonic())

    def wrong_by(self, clock: ServerClock) -> float:
        return clock.now().timestamp() - self.server


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


trips = st.tuples(st.floats(0, 2), st.floats(0, 0.5), st.floats(0, 0.5))


@given(st.lists(trips, min_size=1, max_size=30))
def test_the_error_is_never_more_than_told_and_never_grows(
    answers: list[tuple[float, ...]],
) -> None:
    scene = Scene()
    clock = scene.clock()
    wait, there, back = answers[0]
    bound = 0.5 + (there + back) / 2
    for wait, there, back in answers:
        scene.passed += wait
        scene.answer(clock, there=there, back=back)
        assert clock.error is not None
        assert abs(scene.wrong_by(clock)) <= clock.error + 1e-5
        assert clock.error <= bound + DRIFT * scene.passed + 1e-5


@given(
    st.floats(-HOUR, HOUR),
    st.floats(-HOUR, HOUR),
    st.lists(trips, min_size=1, max_size=10),
    st.lists(trips, min_size=1, max_size=10),
)
def test_two_processes_agree_within_the_sum_of_their_errors(
    one_machine: float,
    other_machine: float,
    ones: list[tuple[float, ...]],
    others: list[tuple[float, ...]],
) -> None:
    scene = Scene()
    one = ServerClock(lambda: 5.0 + scene.passed, lambda: one_machine)
    other = ServerClock(lambda: 90000.0 + scene.passed, lambda: other_machine)
    for clock, answers in ((one, ones), (other, others)):
        for wait, there, back in answers:
            scene.passed += wait
            scene.answer(clock, there=there, back=back)
    apart = abs((one.now() - other.now()).total_seconds())
    assert one.error is not None
    assert other.error is not None
    assert apart <= one.error + other.error + 1e-5


def test_answers_at_all_fractions_of_a_second_tell_it_to_hundredths() -> None:
    scene = Scene()
    clock = scene.clock()
    for _ in range(200):
        scene.passed += 0.317
        scene.answer(clock, there=0.001, back=0.001)
    assert clock.error is not None
    assert clock.error < 0.05


def test_a_step_of_the_machine_s_clock_moves_nothing() -> None:
    scene = Scene(machine=SERVER.timestamp())
    clock = scene.clock()
    scene.answer(clock, there=0.01, back=0.01)
    before = clock.now()
    for step in (HOUR, -2 * HOUR):
        scene.machine += step
        scene.passed += 1
        assert clock.now() - before == timedelta(seconds=1)
        scene.passed -= 1


def test_before_the_first_answer_it_is_the_machine_s() -> None:
    scene = Scene(machine=7.0)
    clock = scene.clock()
    assert clock.error is None
    for date in (None, "", "yesterday", "Thu, 99 Foo 2026"):
        clock.hear(date, sent=0, received=1)
        assert clock.now() == clock.shown() == datetime.fromtimestamp(7, UTC)


@pytest.mark.parametrize("step", [-3.0, 3.0])
def test_a_small_step_of_the_server_s_clock_is_followed(step: float) -> None:
    scene = Scene()
    clock = scene.clock()
    for _ in range(20):
        scene.passed += 0.317
        scene.answer(clock, there=0.001, back=0.001)
    scene.server_step = step
    scene.answer(clock, there=0.001, back=0.001)
    assert clock.error is not None
    assert abs(scene.wrong_by(clock)) <= clock.error <= 1.01


def settled(scene: Scene) -> ServerClock:
    clock = scene.clock()
    beats(scene, clock, 20)
    return clock


def beats(scene: Scene, clock: ServerClock, seconds: float, every: float = 0.317) -> None:
    """Let time pass, with an answer every now and then."""
    until = scene.passed + seconds
    while scene.passed < until:
        scene.passed += every
        scene.answer(clock, there=0.001, back=0.001)


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_an_hour_s_step_of_the_server_s_clock_ends_no_wait_and_begins_none_anew(
    step: float,
) -> None:
    scene = Scene()
    clock = settled(scene)
    before, passed = clock.now(), scene.passed
    scene.server_step = step
    for _ in range(20):
        beats(scene, clock, 30)
        told = (clock.now() - before).total_seconds()
        assert told == pytest.approx(scene.passed - passed, rel=0.11)
        assert clock.error is not None
        assert abs(scene.wrong_by(clock)) <= clock.error + 1e-5
        assert abs(clock.shown().timestamp() - scene.server) < 1


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_it_is_made_up_for_in_the_end(step: float) -> None:
    scene = Scene()
    clock = settled(scene)
    scene.server_step = step
    beats(scene, clock, 11 * HOUR, every=10.317)
    beats(scene, clock, 60)
    assert abs(scene.wrong_by(clock)) < 0.1


def test_servers_an_hour_apart_behind_one_address_move_it_by_little() -> None:
    scene = Scene()
    clock = settled(scene)
    before, passed = clock.now(), scene.passed
    for number in range(2000):
        scene.server_step = HOUR * (number % 2)
        beats(scene, clock, 0.3)
    told = (clock.now() - before).total_seconds()
    assert told == pytest.approx(scene.passed - passed, rel=0.11)


@pytest.mark.parametrize("apart", [-HOUR, -10.0, 10.0, HOUR])
def test_another_s_time_can_be_gone_by(apart: float) -> None:
    scene = Scene()
    clock = settled(scene)
    others = clock.now() + timedelta(seconds=apart)
    clock.agree(others)
    assert abs((clock.now() - others).total_seconds()) < 0.001
    beats(scene, clock, 11 * abs(apart), every=1.317)
    beats(scene, clock, 60)
    assert abs(scene.wrong_by(clock)) < 0.1


def test_another_s_time_that_is_near_changes_nothing() -> None:
    clock = settled(Scene())
    before = clock.now()
    clock.agree(before + timedelta(seconds=3))
    assert clock.now() == before


def test_servers_a_little_apart_move_it_no_further_than_they_are_apart() -> None:
    scene = Scene()
    clock = scene.clock()
    for _ in range(100):
        scene.passed += 0.317
        scene.answer(clock, there=0.001, back=0.001)
    settled = scene.wrong_by(clock)
    for number in range(100):
        scene.passed += 0.317
        scene.server_step = 0.05 * (number % 2)
        scene.answer(clock, there=0.001, back=0.001)
        assert abs(clock.now().timestamp() - scene.passed - SERVER.timestamp() - settled) < 0.1


def dated(time: Callable[[], datetime], code: int = 200) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        headers = {"Date": format_datetime(time(), usegmt=True)}
        return web.json_response({"code": code}, status=code, headers=headers)

    return answer


async def test_a_cluster_tells_the_time_of_its_server(api: ScriptedApi) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()

    def server() -> datetime:
        return SERVER + timedelta(seconds=loop.time() - started)

    api.answers = [dated(server), dated(server), dated(lambda: SERVER - timedelta(days=1), 404)]
    async with api.cluster() as one, api.cluster() as other:
        assert abs(one.now() - datetime.now(UTC)) < timedelta(seconds=5)
        for cluster in (one, other):
            await cluster.get(PODS, "prod", "web")
            assert abs(cluster.now() - server()) < timedelta(seconds=1)
        assert abs(one.now() - other.now()) < timedelta(seconds=1.5)
        # What a proxy says that has no way to the server counts for nothing.
        await other.delete(PODS, "prod", "web")
        assert abs(other.now() - server()) < timedelta(seconds=1)
