"""What the stable's own past says about correlation and the spread of its pods."""

import math
import random
from dataclasses import replace

import pytest

from canary.evidence.dispersion import (
    PodHistory,
    calibrate,
    learned_bound,
    uncalibrated,
)
from canary.evidence.policy import Policy

POLICY = Policy()
STEPS = 2400


def _pods(
    seed: int, *, cluster: int = 1, spread: tuple[float, ...] = (1.0,) * 9
) -> list[PodHistory]:
    """Pods of 50 requests per step at 1 %, whose errors come in clusters."""
    draw = random.Random(seed)  # noqa: S311 - a fixed seed, no secret
    pods = []
    for factor in spread:
        events = [draw.random() < 0.5 * factor / cluster for _ in range(STEPS)]
        pods.append(
            PodHistory(bad=tuple(cluster * float(one) for one in events), requests=(50.0,) * STEPS)
        )
    return pods


def test_independent_errors_are_not_dispersed() -> None:
    found = calibrate(_pods(1), step=5.0, policy=POLICY)
    assert found.known
    assert found.margin == POLICY.margin
    assert 1.0 <= found.levels[0][1] < 1.1
    assert found.learned == pytest.approx(0.01, rel=0.1)
    assert [round(volume) for volume, _ in found.levels] == [10, 20, 40, 80]


def test_clusters_of_errors_are_found() -> None:
    found = calibrate(_pods(2, cluster=5), step=5.0, policy=POLICY)
    assert 3.5 < found.levels[0][1] < 6
    assert found.margin == POLICY.margin


def test_pods_that_differ_for_good_widen_the_margin() -> None:
    spread = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5)
    found = calibrate(_pods(3, spread=spread), step=5.0, policy=POLICY)
    assert 1.6 < found.margin < 2.6


def test_long_bursts_show_over_longer_blocks_only() -> None:
    bad = tuple(2.0 if at // 12 % 10 == 0 else 0.0 for at in range(STEPS))
    pods = [PodHistory(bad=bad, requests=(50.0,) * STEPS)]
    short = calibrate(pods, step=5.0, policy=replace(POLICY, blocks=(5.0,)))
    long = calibrate(pods, step=5.0, policy=POLICY)
    assert long.levels[0][1] > 5 * short.levels[0][1]


def test_short_history_is_not_trusted() -> None:
    pods = [PodHistory(bad=pod.bad[:100], requests=pod.requests[:100]) for pod in _pods(4)]
    found = calibrate(pods, step=5.0, policy=POLICY)
    assert not found.known
    assert found.learned is None
    assert found.levels[0][1] >= POLICY.unknown_dispersion
    assert learned_bound(found, 0.001) is None


def test_silence_is_no_history() -> None:
    silent = [PodHistory(bad=(0.0,) * 10, requests=(0.0,) * 10)]
    assert calibrate(silent, step=5.0, policy=POLICY) == uncalibrated(POLICY)
    assert calibrate([], step=5.0, policy=POLICY) == uncalibrated(POLICY)


def test_service_without_errors_is_known_after_the_longest_history() -> None:
    pods = [PodHistory(bad=(0.0,) * 1440, requests=(50.0,) * 1440)]
    found = calibrate(pods, step=60.0, policy=POLICY)
    assert found.known
    assert found.levels[0][1] == 1.0
    assert found.learned is not None
    assert learned_bound(found, 0.001) == 0.001


def test_dispersion_follows_the_volume() -> None:
    found = replace(uncalibrated(POLICY), levels=((10.0, 2.0), (20.0, 3.0)))
    assert [found.at(volume) for volume in (0.0, 14.0, 16.0, 30.0)] == [2.0, 2.0, 3.0, 3.0]
    assert found.at(40.0) == pytest.approx(5.0)
    assert uncalibrated(POLICY).at(1e9) == POLICY.unknown_dispersion


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.0},
        {"alpha_history": 0.02},
        {"margin": 0.9},
        {"beta": 1.0},
        {"inferior_rate": 0.0},
        {"margin": math.inf},
        {"cap_calm": 0.0},
    ],
)
def test_policy_names_what_is_wrong(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(POLICY, **wrong)  # type: ignore[arg-type]
