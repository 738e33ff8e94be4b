"""Seeded plans of pushes on top of each other: which version comes next, and at which moment."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_BLIND: Final = 0.3
"""Part of the moves, after the first ten, whose end is a random moment and no event."""
_SCALED: Final = 0.3
"""Part of the moves in which the target is scaled."""


class What(StrEnum):
    """Which version is pushed."""

    GOOD = "a new good version"
    BAD = "a new bad version"
    AGAIN = "the bad version pushed last"
    STABLE = "the version that serves"
    FORMER = "a good version that served before"


class When(StrEnum):
    """Until when a version is left alone."""

    VERDICT = "verdict"
    WEIGHT = "weight"
    PROMOTING = "promoting"
    FINALISING = "finalising"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A push and what follows until the next one.

    `pause` is in seconds after the event of `when`. `scale` is how many replicas the target gets
    meanwhile, None where it is left as it is, and `scale_after` when, in seconds after the push.
    """

    what: What
    when: When
    weight: int = 0
    pause: float = 0.0
    scale: int | None = None
    scale_after: float = 0.0


def planned(seed: int, pushes: int, weights: Sequence[int]) -> tuple[Move, ...]:
    """Return a plan. Every ten pushes have each kind once, in random order.

    Args:
        seed: of all chances.
        pushes: how many moves.
        weights: the steps of a run, in percent.

    """
    chance = random.Random(seed)  # noqa: S311 - moments are to differ, and to be found again
    moves: list[Move] = []
    while len(moves) < pushes:
        deck = _deck(chance, weights)
        chance.shuffle(deck)
        ten = [_scaled(move, chance) for bundle in deck for move in bundle]
        moves += [_blind(move, chance) for move in ten] if moves else ten
    return tuple(moves[:pushes])


def _deck(chance: random.Random, weights: Sequence[int]) -> list[list[Move]]:
    """Return ten moves; those of one bundle stay together, since they rest on each other."""
    short, fix = chance.uniform(0, 1), chance.uniform(1, 2)
    return [
        # The commonest push of all: the fix, right after a refusal. Then it is undone while it
        # finalises, and that is superseded half-way.
        [
            Move(what=What.BAD, when=When.VERDICT, pause=fix),
            Move(what=What.GOOD, when=When.FINALISING, pause=short),
            Move(what=What.FORMER, when=When.PROMOTING, pause=chance.uniform(0, 2)),
        ],
        [
            Move(what=What.BAD, when=When.VERDICT, pause=short),
            Move(what=What.STABLE, when=When.PAUSE, pause=chance.uniform(0.5, 3)),
            Move(what=What.AGAIN, when=When.PAUSE, pause=chance.uniform(2, 4)),
        ],
        [Move(what=What.GOOD, when=When.WEIGHT, weight=weights[0], pause=short)],
        [Move(what=What.GOOD, when=When.WEIGHT, weight=weights[-1], pause=fix)],
        [Move(what=What.BAD, when=When.WEIGHT, weight=weights[0], pause=short)],
        # Before its pods are ready, or even made.
        [Move(what=What.GOOD, when=When.PAUSE, pause=chance.uniform(0.3, 6))],
    ]


def _scaled(move: Move, chance: random.Random) -> Move:
    if chance.random() >= _SCALED:
        return move
    return replace(move, scale=chance.randint(2, 4), scale_after=chance.uniform(0, 4))


def _blind(move: Move, chance: random.Random) -> Move:
    if chance.random() >= _BLIND:
        return move
    return replace(move, when=When.PAUSE, pause=chance.uniform(0.2, 20))
