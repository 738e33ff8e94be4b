"""How many series are held at a time: small answers always, large ones while there is room."""

from analyzer.gathering.held import SMALL, Held
from canary.counting.series import Series


def answer(labels: int) -> tuple[Series, ...]:
    return (Series({str(number): "" for number in range(labels - 2)}, 1.0),)


def test_large_answers_are_held_while_there_is_room_and_small_ones_always() -> None:
    held = Held(3 * SMALL)
    first = held.hold(answer(2 * SMALL))
    assert first == list(answer(2 * SMALL))
    assert held.hold(answer(2 * SMALL)) is None
    small = [held.hold(answer(SMALL)) for _ in range(3)]
    assert None not in small
    assert held.labels == 5 * SMALL
    del first, small
    assert held.labels == 0
    assert held.hold(answer(2 * SMALL)) is not None
