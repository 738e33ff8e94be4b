"""A share by the number of pods: as near as whole pods come to what is asked for, from below."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.joining import MOST, Joining, Member, largest, pods_for, share_of

members = st.lists(
    st.tuples(st.booleans(), st.booleans()).map(lambda it: (it[0], it[1])), max_size=12
).map(
    lambda found: tuple(
        Member(name=f"web-canary-{number:02}", ready=ready, joined=joined)
        for number, (ready, joined) in enumerate(found)
    )
)
joinings = st.builds(Joining, members=members, stable=st.integers(0, 30))
weights = st.integers(1, 100)


@pytest.mark.parametrize(
    ("weight", "stable", "pods", "share"),
    [
        (0, 10, 0, 0.0),
        (5, 10, 1, 9.1),  # less than a pod: one is taken all the same
        (10, 9, 1, 10.0),
        (10, 10, 1, 9.1),
        (20, 10, 2, 16.7),
        (25, 9, 3, 25.0),
        (33, 2, 1, 33.3),  # none would be the nearest that is not above it
        (50, 10, 10, 50.0),
        (80, 10, 10, 50.0),  # the canary is never larger than the target
        (100, 1, 1, 50.0),
        (10, 0, 1, 100.0),  # nobody else answers
    ],
)
def test_pods_for_a_share(weight: int, stable: int, pods: int, share: float) -> None:
    assert pods_for(weight, stable) == pods
    assert share_of(pods, stable) == share


@given(weights, st.integers(0, 200))
def test_the_nearest_share_that_is_not_above_what_is_asked_for(weight: int, stable: int) -> None:
    asked, pods = min(weight, MOST), pods_for(weight, stable)
    within = [n for n in range(stable + 2) if 100 * n <= asked * (n + stable)]
    assert pods == max(1, *within, 0)


@given(st.integers(1, 99), st.integers(0, 200))
def test_a_larger_share_or_a_larger_stable_never_takes_fewer(weight: int, stable: int) -> None:
    assert pods_for(weight, stable) <= pods_for(weight + 1, stable)
    assert pods_for(weight, stable) <= pods_for(weight, stable + 1)


@given(st.lists(st.integers(0, 100), max_size=4), st.integers(0, 50))
def test_a_canary_is_as_large_as_its_largest_share_and_no_larger_than_the_target(
    shares: list[int], replicas: int
) -> None:
    assert largest(shares, replicas) == max([1, *(pods_for(it, replicas) for it in shares)])
    assert largest(shares, replicas) <= max(1, replicas)


@given(joinings, weights)
def test_only_ready_pods_join_and_as_many_as_there_are(joining: Joining, weight: int) -> None:
    ready = {one.name for one in joining.members if one.ready}
    wanted = joining.wanted(weight)
    assert wanted <= ready
    assert len(wanted) == min(len(ready), pods_for(weight, joining.stable))


@given(joinings, weights)
def test_a_pod_that_is_in_stays_before_another_joins(joining: Joining, weight: int) -> None:
    wanted = joining.wanted(weight)
    in_and_ready = {one.name for one in joining.members if one.joined and one.ready}
    assert wanted <= in_and_ready or in_and_ready <= wanted


@given(joinings)
def test_with_no_share_nobody_is_in(joining: Joining) -> None:
    assert joining.wanted(0) == frozenset()
    assert joining.lacks(0) == any(one.joined for one in joining.members)


@given(joinings, weights)
def test_once_it_is_so_nothing_is_lacking_and_the_share_is_the_planned_one(
    joining: Joining, weight: int
) -> None:
    wanted = joining.wanted(weight)
    after = Joining(
        members=tuple(
            Member(name=one.name, ready=one.ready, joined=one.name in wanted)
            for one in joining.members
        ),
        stable=joining.stable,
    )
    assert after.lacks(weight) is not any(one.ready for one in joining.members)
    assert joining.planned(weight) == (len(wanted), after.share)


def test_what_is_in_and_not_ready_gets_nothing() -> None:
    there = (
        Member(name="a", ready=False, joined=True),
        Member(name="b", ready=True, joined=True),
        Member(name="c", ready=True, joined=False),
    )
    joining = Joining(members=there, stable=3)
    assert (joining.serving, joining.share) == (1, 25.0)
    assert joining.wanted(50) == {"b", "c"}
    assert joining.lacks(25)
    assert joining.joined == {"a", "b"}
