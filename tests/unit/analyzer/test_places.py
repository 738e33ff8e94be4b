"""Places are fair: every owner has one, the next goes to who has the fewest, none is lost."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.places import Places


async def settle() -> None:
    """Let every task run until nothing is ready any more: no chain here is as long as this."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Crowd:
    """Tasks that take a place each, and leave it when they are told to."""

    places: Places[str]
    group: asyncio.TaskGroup
    tasks: list[tuple[str, asyncio.Task[None], asyncio.Event]] = field(default_factory=list)
    inside: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)

    async def come(self, owner: str) -> None:
        leave = asyncio.Event()
        task = self.group.create_task(self._stay(owner, leave))
        self.tasks.append((owner, task, leave))
        await settle()

    async def _stay(self, owner: str, leave: asyncio.Event) -> None:
        async with self.places.take(owner):
            self.inside[owner] += 1
            self.order.append(owner)
            try:
                await leave.wait()
            finally:
                self.inside[owner] -= 1

    async def go(self, position: int) -> None:
        self.tasks[position % len(self.tasks)][2].set()
        await settle()

    async def cancel(self, position: int) -> None:
        self.tasks[position % len(self.tasks)][1].cancel()
        await settle()

    async def take_step(self, what: str, which: str | int) -> None:
        if isinstance(which, str):
            await self.come(which)
        elif self.tasks:
            await (self.go if what == "go" else self.cancel)(which)

    def alive(self) -> Counter[str]:
        return Counter(owner for owner, task, _ in self.tasks if not task.done())

    async def end(self) -> None:
        for position in range(len(self.tasks)):
            await self.go(position)


OWNERS = ("blue", "green", "red")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(OWNERS)),
        st.tuples(st.sampled_from(["go", "cancel"]), st.integers(0, 50)),
    ),
    max_size=40,
)


@given(per_owner=st.integers(1, 4), total=st.integers(1, 6), steps=STEPS)
def test_whatever_comes_goes_and_is_cancelled(
    per_owner: int, total: int, steps: list[tuple[str, str | int]]
) -> None:
    async def play() -> None:
        async with asyncio.TaskGroup() as group:
            crowd = Crowd(Places(per_owner=per_owner, total=total), group)
            for what, which in steps:
                await crowd.take_step(what, which)
                check(crowd, per_owner, total)
            await crowd.end()
            assert not crowd.alive()
            assert not any(crowd.places.waiting(owner) for owner in OWNERS)

    asyncio.run(play())


def check(crowd: Crowd, per_owner: int, total: int) -> None:
    alive, inside = crowd.alive(), crowd.inside
    for owner, number in alive.items():
        assert 1 <= inside[owner] <= per_owner
        assert crowd.places.waiting(owner) == number - inside[owner]
    assert inside.total() <= total + len(OWNERS)
    if inside.total() < total:  # Nothing that is free is kept from anybody who may have it.
        assert all(inside[owner] == min(per_owner, number) for owner, number in alive.items())


async def test_an_owner_has_a_first_place_when_all_are_taken() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Places(per_owner=8, total=2), group)
        for owner in ("hung", "hung", "hung", "prod", "prod"):
            await crowd.come(owner)
        assert crowd.inside == {"hung": 2, "prod": 1}
        assert (crowd.places.waiting("hung"), crowd.places.waiting("prod")) == (1, 1)
        await crowd.end()


async def test_the_next_place_goes_to_who_has_the_fewest_then_to_who_waits_longest() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Places(per_owner=8, total=4), group)
        for owner in ("many", "many", "many", "few", "many", "few", "other", "other"):
            await crowd.come(owner)
        assert crowd.order == ["many", "many", "many", "few", "other"]
        for position in range(4):
            await crowd.go(position)
        assert crowd.order[5:] == ["few", "many", "other"]
        await crowd.end()


async def test_a_turn_that_comes_as_its_task_is_cancelled_is_the_next_ones() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Places(per_owner=1, total=1), group)
        for _ in range(3):
            await crowd.come("prod")
        # The second is given the place, and is cancelled before it can go in.
        crowd.tasks[0][2].set()
        await asyncio.sleep(0)
        crowd.tasks[1][1].cancel()
        await settle()
        assert crowd.inside == {"prod": 1}
        assert [task.done() for _, task, _ in crowd.tasks] == [True, True, False]
        await crowd.end()


async def test_who_is_cancelled_as_a_place_becomes_free_is_passed_over() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Places(per_owner=1, total=1), group)
        for _ in range(3):
            await crowd.come("prod")
        crowd.tasks[1][1].cancel()
        crowd.tasks[0][2].set()
        await settle()
        assert crowd.inside == {"prod": 1}
        assert [task.done() for _, task, _ in crowd.tasks] == [True, True, False]
        await crowd.end()


async def test_an_error_inside_gives_the_place_back() -> None:
    places = Places[str](per_owner=1, total=1)
    with pytest.raises(ZeroDivisionError):
        async with places.take("prod"):
            raise ZeroDivisionError
    async with asyncio.timeout(30), places.take("prod"):
        assert places.waiting("prod") == 0


@pytest.mark.parametrize(("per_owner", "total"), [(0, 1), (1, 0)])
def test_no_places_at_all_are_a_mistake(per_owner: int, total: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Places[str](per_owner=per_owner, total=total)


async def test_what_is_strict_is_passed_by_no_first_place() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Places[str](per_owner=1, total=2, strict=True), group)
        for owner in ("a", "a", "b", "c"):
            await crowd.come(owner)
        assert (crowd.inside["a"], crowd.inside["b"], crowd.inside["c"]) == (1, 1, 0)
        await crowd.go(0)
        assert (crowd.inside["a"], crowd.inside["c"]) == (0, 1)
        await crowd.end()
