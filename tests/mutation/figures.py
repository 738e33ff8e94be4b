"""What a mutation run draws, and how it is summed up."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

AIM: Final = 0.95
"""Part of the changes that are not equivalent which the tests have to notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The changes of one package: made, of these equivalent, and of the others not noticed."""

    package: str
    made: int
    equivalent: int
    survived: int

    @property
    def noticed(self) -> float:
        """Return the part that was noticed of the changes that are not equivalent."""
        return 1 - self.survived / max(1, self.made - self.equivalent)


def drawn(names: Iterable[str], sample: int | None, seed: int) -> list[str]:
    """Return the changes to make: all, or so many of them by the seed."""
    ordered = sorted(names)
    if sample is None or sample >= len(ordered):
        return ordered
    return sorted(random.Random(seed).sample(ordered, sample))  # noqa: S311 - a draw, no secret


def found_in(results: str) -> dict[str, str]:
    """Read what `mutmut results` prints: each change by its name, with what came of it."""
    lines = (line.strip().rpartition(": ") for line in results.splitlines())
    return {name: status for name, _, status in lines if "__mutmut_" in name}


def package_of(name: str) -> str:
    """Return the package that a change lies in, as `canary.rules`."""
    return ".".join(name.split(".")[:2])


def counted(
    names: Collection[str],
    survivors: Collection[str],
    equivalent: Collection[str],
    package: Callable[[str], str],
) -> list[Row]:
    """Return a row for each package by its name, and one for all."""
    made, same = Counter(map(package, names)), Counter(map(package, equivalent))
    left = Counter(package(name) for name in survivors if name not in equivalent)
    rows = [
        Row(package=it, made=made[it], equivalent=same[it], survived=left[it])
        for it in sorted(made)
    ]
    totals = (made.total(), same.total(), left.total())
    return [*rows, Row(package="all", made=totals[0], equivalent=totals[1], survived=totals[2])]


def enough(rows: Iterable[Row]) -> bool:
    """Tell whether each package has what is aimed at, and so all of them."""
    return all(row.noticed >= AIM for row in rows)


def table(rows: Iterable[Row]) -> str:
    """Return the rows as text, with a heading."""
    heading = f"{'package':<20}{'changes':>9}{'equivalent':>12}{'survived':>10}{'noticed':>9}\n"
    lines = (
        f"{it.package:<20}{it.made:>9}{it.equivalent:>12}{it.survived:>10}{it.noticed:>9.1%}\n"
        for it in rows
    )
    return heading + "".join(lines)
