"""What was measured, beside what was aimed at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

COLUMNS = ("figure", "measured", "aim", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row.

    `aim` is None where there is none, and `more` says that a larger value is better. `noise` is
    how far two measurements of the same thing differ: an aim that is missed by less is kept.
    Where it is `binding`, one that is missed is an error.
    """

    name: str
    value: float
    unit: str
    aim: float | None = None
    more: bool = False
    noise: float = 0.0
    binding: bool = False
    note: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether its aim is kept, as it is where there is none."""
        if self.aim is None:
            return True
        short = self.aim - self.value if self.more else self.value - self.aim
        return short <= self.noise

    def row(self) -> tuple[str, str, str, str]:
        """Return the texts of the four columns."""
        if self.aim is None:
            return self.name, f"{number(self.value)} {self.unit}", "", ""
        aim = f"{'>=' if self.more else '<='} {number(self.aim)} {self.unit}"
        return self.name, f"{number(self.value)} {self.unit}", aim, self._ratio(self.aim)

    def _ratio(self, aim: float) -> str:
        ratio = f"{self.value / aim:.2f}" if aim else "-"
        return ratio if self.is_kept else f"{ratio} (missed)"


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that were taken together, or why there are none."""

    title: str
    figures: Sequence[Figure] = field(default_factory=tuple)
    skipped: str = ""
    broken: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether it could not be taken, or a binding aim is missed."""
        return bool(self.broken) or any(it.binding and not it.is_kept for it in self.figures)


def number(value: float) -> str:
    """Write a value with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def table(sections: Sequence[Section]) -> str:
    """Return the table, each section under its title, each note under its row."""
    rows = [figure.row() for section in sections for figure in section.figures]
    widths = [max(len(row[column]) for row in [COLUMNS, *rows]) for column in range(len(COLUMNS))]

    def line(cells: Sequence[str]) -> str:
        pairs = zip(cells, widths, strict=True)
        return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()

    lines = [line(COLUMNS), line(["-" * width for width in widths])]
    for section in sections:
        lines.append(f"[{section.title}]")
        if section.skipped:
            lines.append(f"skipped: {section.skipped}")
        if section.broken:
            lines.append(f"not measured: {section.broken}")
        for figure in section.figures:
            lines.append(line(figure.row()))
            if figure.note:
                lines.append(f"    {figure.note}")
    return "\n".join(lines)
