"""For how long a split has stood, as far as one process knows."""

from datetime import timedelta

from analyzer.routers.standing import FORGOTTEN
from analyzer.routers.stood import Stood
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Key
from tests.unit.analyzer.routers.test_kinds import WEB

HALF = Traffic(50)
API = Key(namespace="prod", name="api")


class Looks:
    """Looks at a split as time goes by."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stood = Stood(lambda: self.now)

    def after(self, seconds: float, traffic: Traffic, key: Key = WEB) -> float:
        self.now += seconds
        return self.stood.lasted(key, traffic).total_seconds()


def test_it_counts_from_the_first_look_at_what_stands() -> None:
    looks = Looks()
    assert [looks.after(it, NOTHING) for it in (0, 3, 4)] == [0, 3, 7]


def test_another_share_counts_anew_and_so_does_one_of_before() -> None:
    looks = Looks()
    looks.after(0, NOTHING)
    assert looks.after(5, HALF) == 0
    assert looks.after(2, HALF) == 2
    assert looks.after(1, NOTHING) == 0


def test_each_target_has_its_own() -> None:
    looks = Looks()
    looks.after(0, NOTHING)
    assert looks.after(5, NOTHING, API) == 0
    assert looks.after(1, NOTHING) == 6


def test_what_nobody_looks_at_any_more_is_forgotten_when_another_target_comes() -> None:
    looks = Looks()
    looks.after(0, NOTHING)
    looks.after(FORGOTTEN - 1, NOTHING)
    looks.after(2, NOTHING, API)
    assert looks.after(0, NOTHING) == FORGOTTEN + 1
    looks.after(FORGOTTEN, NOTHING, Key(namespace="prod", name="shop"))
    assert looks.after(0, NOTHING) == 0
    assert looks.stood.lasted(API, NOTHING) == timedelta(0)
