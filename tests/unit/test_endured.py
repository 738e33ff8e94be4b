"""What the soak of endurance holds against what it saw: verdicts, answers, growth."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from tests.cluster.soak.endured import (
    BOUND,
    BOUNDS,
    LEADS,
    LONG,
    SLACK,
    WARM,
    WARM_LEADING,
    Ended,
    Kind,
    Life,
    Release,
    Sample,
    Verdict,
    Victim,
    deaths,
    growths,
    joined,
    measured,
    releases,
    slope,
    wrong_answers,
)

GOOD, BAD = Release(kind=Kind.GOOD), Release(kind=Kind.ERRORS, errors="0.5")
LEFT = Release(kind=Kind.ERRORS, errors="0.5", left=3.0)


def ended(release: Release, verdict: Verdict, why: str = "Refused: it fails") -> Ended:
    return Ended(name="it", release=release, pushed=10, at=40, verdict=verdict, why=why)


@pytest.mark.parametrize(
    "one",
    [
        ended(GOOD, Verdict.PROMOTED),
        ended(BAD, Verdict.REFUSED),
        ended(LEFT, Verdict.REFUSED),
        ended(LEFT, Verdict.SUPERSEDED),
    ],
)
def test_a_right_verdict_is_right(one: Ended) -> None:
    assert one.wrong == ""


@pytest.mark.parametrize(
    "one",
    [
        ended(GOOD, Verdict.REFUSED),
        ended(GOOD, Verdict.OPEN),
        ended(GOOD, Verdict.SUPERSEDED),
        ended(BAD, Verdict.PROMOTED),
        ended(LEFT, Verdict.PROMOTED),
        ended(BAD, Verdict.OPEN),
        ended(BAD, Verdict.REFUSED, "NoData: nobody could judge it"),
    ],
)
def test_a_wrong_verdict_is_wrong(one: Ended) -> None:
    assert one.wrong.startswith(f"it ({one.release.kind}) is {one.verdict}, 30 s after its push")


def test_answers_of_a_refused_version_and_errors_of_others_are_wrong() -> None:
    refused = ended(BAD, Verdict.REFUSED)
    late = refused.at + BOUND
    answers = [
        (20.0, 500, "it"),
        (late, 500, "it"),
        (late + 1, 200, "it"),
        (late + 2, 500, "it"),
        (50.0, 503, "other"),
        (60.0, 500, "other"),
    ]
    assert wrong_answers([refused], answers, []) == [
        "2 times an answer by it after its refusal, 51.0 to 52.0 s",
        "1 times status 503 by other, 50.0 to 50.0 s",
        "1 times status 500 by other, 60.0 to 60.0 s",
    ]


def test_while_the_api_server_is_away_gateways_know_too_late() -> None:
    refused = ended(BAD, Verdict.REFUSED)
    away = [(42.0, 60.0)]
    answers = [(60 + BOUND, 200, "it"), (60 + SLACK, 0, "TimeoutError()")]
    assert wrong_answers([refused], answers, away) == []
    assert len(wrong_answers([refused], [(61 + BOUND, 200, "it")], away)) == 1
    assert len(wrong_answers([refused], [(61 + SLACK, 0, "TimeoutError()")], away)) == 1


def test_a_plan_has_a_fix_after_each_bad_version_and_ends_with_a_verdict() -> None:
    kinds = set()
    for seed in range(50):
        plan = releases(random.Random(seed), 40)  # noqa: S311 - a seed
        assert len(plan) == 40
        assert plan[-1] == GOOD
        assert all(after.good for one, after in pairwise(plan) if not one.good)
        kinds |= {one.kind for one in plan}
    assert kinds == set(Kind)


def test_every_part_ends_and_the_last_half_minute_is_left_to_mend() -> None:
    found = list(deaths(random.Random(1), 1200))  # noqa: S311 - a seed
    assert set(Victim) == {one.victim for one in found}
    assert max(one.at for one in found) <= 1170
    counts = Counter(one.victim for one in found)
    assert counts[Victim.API_SERVER] > counts[Victim.ANALYZER]
    assert found == list(deaths(random.Random(1), 1200))  # noqa: S311 - the same seed


def test_a_life_of_an_analyzer_is_long_enough_to_be_measured() -> None:
    for seed in range(50):
        found = deaths(random.Random(seed), 1200)  # noqa: S311 - a seed
        ours = [one.at for one in found if one.victim in {Victim.ANALYZER, Victim.STANDBY}]
        assert len(ours) == 3
        assert 1200 - max(ours) >= 600 + WARM


def test_a_slope_is_that_of_most_pairs() -> None:
    line = [(float(at), 2.0 * at) for at in range(20)]
    assert slope([*line, (20.0, 5000.0)]) == pytest.approx(2.0)
    assert slope([(1.0, 1.0)]) == 0.0


def lived(per_second: float, seconds: float, jump: float = 0.0) -> dict[Life, list[Sample]]:
    """Return a life whose memory grows, with a jump while it is young."""
    times = [10.0 * one for one in range(int(seconds / 10) + 1)]
    samples = [
        Sample(
            at,
            {
                **dict.fromkeys((it.name for it in BOUNDS), 7.0),
                "memory": 50 + per_second * at - jump * (at < WARM_LEADING),
            },
        )
        for at in times
    ]
    return {Life("pod/1", LEADS, 0.0): samples}


def wrongly(lives: dict[Life, list[Sample]], since: float = 0.0) -> list[str]:
    return [one.bound.name for one in growths(lives, since) if one.wrong]


def test_what_grows_is_found_and_what_is_flat_is_not() -> None:
    assert wrongly(lived(0.01, 900)) == ["memory"]
    assert wrongly(lived(0.0, 900, jump=40)) == []
    assert wrongly(lived(-0.01, 900)) == []


def test_a_short_life_is_told_and_held_to_nothing() -> None:
    found = growths(lived(0.01, WARM_LEADING + LONG - 10), 0.0)
    memory = found[0]
    assert not memory.counts
    assert measured(found) == set()
    assert measured(growths(lived(0.01, WARM_LEADING + LONG), 0.0)) == {LEADS}
    assert str(memory).endswith("+6.00 / 10 min short")
    assert wrongly(lived(0.01, WARM_LEADING + LONG)) == ["memory"]
    assert growths(lived(0.01, WARM), 0.0) == []


def test_the_memory_of_one_that_has_led_is_seen_on_where_it_waits() -> None:
    [samples] = lived(0.01, 900).values()
    lives = {
        Life("pod/1", LEADS, 0.0): samples[:45],
        Life("pod/1", "analyzer, waits", 450.0): samples[45:],
    }
    memory = [one for one in growths(lives, 0.0) if one.bound.name == "memory"]
    assert [(one.life.part, one.seconds, one.wrong) for one in memory] == [(LEADS, 600.0, True)]


def test_what_came_before_the_window_does_not_count() -> None:
    assert wrongly(lived(0.01, 900), since=700) == []


def test_an_absence_and_the_lag_that_follows_it_are_one() -> None:
    outage, lag, later = (10.0, 20.0), (21.5, 60.0), (70.0, 75.0)
    assert joined([later, lag, outage]) == ((10.0, 60.0), later)
    assert joined([(10.0, 60.0), (20.0, 30.0)]) == ((10.0, 60.0),)
    assert joined([]) == ()
