"""What a write to an adopted route means: the split stays, whoever applies the route.

The analyzer writes the mark only, and this rule writes the weights, so that the fields the team
applied stay owned by the team's field manager.
"""

from dataclasses import dataclass, field

from canary.contract import SPLIT
from canary.model.values import Json
from canary.split import Mark, carries, load_mark, with_split, without_split


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWrite:
    """One UPDATE of a route; `by_analyzer` tells who may change the split."""

    old: Json
    new: Json
    by_analyzer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """What is changed in the write: `rules` and `mark` are None where they stand as written."""

    outcome: str
    rules: list[Json] | None = None
    mark: str | None = None
    warnings: tuple[str, ...] = field(default=())


def admit_route(write: RouteWrite) -> RouteAnswer:
    """Decide one write to a route that has, had or gets a split."""
    old_text, new_text = _mark_text(write.old), _mark_text(write.new)
    text = new_text if write.by_analyzer else old_text
    rules = write.new["spec"].get("rules") or []
    mark = load_mark(text)
    if mark is None:
        return _unsplit(rules, load_mark(old_text), by_analyzer=write.by_analyzer)
    return RouteAnswer(
        outcome="split",
        rules=None if carries(rules, mark) else with_split(rules, mark),
        mark=None if text == new_text else text,
    )


def _unsplit(rules: list[Json], before: Mark | None, *, by_analyzer: bool) -> RouteAnswer:
    if before is None or not by_analyzer:
        return RouteAnswer(outcome="no-split")
    plain = without_split(rules, before)
    return RouteAnswer(outcome="clean", rules=None if plain == rules else plain)


def _mark_text(route: Json) -> str:
    return str((route["metadata"].get("annotations") or {}).get(SPLIT, ""))
