"""What stands on one route of a target's split, whichever namespace each of them is in."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from canary.contract import SPLIT
from canary.model.traffic import NOTHING, Traffic, by_size
from canary.model.values import Json, Key
from canary.routes.declined import declines, is_passing, shape_of
from canary.routes.dialect import Dialect, Written
from canary.routes.http_parts import seen_from, space_of
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of, text_of
from canary.routes.parents import other_ports
from runtime.errors import Invalid

Change = Callable[[Dialect, Json, Mark], Mark]
"""Returns what a route's mark is to be."""


Place = tuple[Key, str, str, str]
"""A target, and kind, namespace and name of a route that it is split on."""
FORGOTTEN: Final = 600.0
"""Seconds after which nobody asks any more for what has passed by."""


class Looked(Protocol):
    """What is remembered from look to look; `seen` is the last one, in seconds of a clock."""

    @property
    def seen(self) -> float:
        """When it was looked at last."""


_K = TypeVar("_K")
_L = TypeVar("_L", bound=Looked)


def recent(known: Mapping[_K, _L], now: float) -> dict[_K, _L]:
    """Return what somebody has looked at of late."""
    return {place: one for place, one in known.items() if now - one.seen < FORGOTTEN}


def place_of(key: Key, dialect: Dialect, route: Json) -> Place:
    """Return by what a target's split on a route is known from look to look."""
    metadata = route["metadata"]
    return key, dialect.kind, metadata["namespace"], metadata["name"]


def name_on(route: Json, key: Key) -> str:
    """Return what a target is called in a route's mark: with its namespace in another one's."""
    return seen_from(space_of(route), key.namespace, key.name)


def split_on(route: Json, key: Key, split: TargetSplit) -> TargetSplit:
    """Return a target's split as it is said on a route."""
    space = space_of(route)
    stable, canary = (seen_from(space, key.namespace, it) for it in (split.stable, split.canary))
    return replace(split, stable=stable, canary=canary)


def is_of(route: Json, key: Key) -> bool:
    """Tell whether a route is of the target's namespace."""
    return space_of(route) == key.namespace


def standing(route: Json) -> Mark:
    """Return a route's mark; one that cannot be read is none, and is written over."""
    return mark_of(route) or NO_MARK


def is_marked(route: Json, key: Key) -> bool:
    """Tell whether a target has a split on a route by our mark."""
    return name_on(route, key) in standing(route).splits


def leads(dialect: Dialect, route: Json, key: Key, service: str) -> bool:
    """Tell whether a route sends traffic to a Service of the target's namespace."""
    return dialect.leads_to(route, seen_from(space_of(route), key.namespace, service))


def carried_by(dialect: Dialect, route: Json, key: Key, split: TargetSplit) -> frozenset[Traffic]:
    """Return what the canary gets by a route; without a mark nothing there is ours."""
    found = dialect.carried(route, split_on(route, key, split))
    ours = text_of(route) and not is_another_s(route, key, split)
    return found if ours or not found else frozenset({NOTHING})


def leading(
    key: Key, split: TargetSplit, routes: Iterable[tuple[Dialect, Json]], port: int | None = None
) -> list[tuple[Dialect, Json]]:
    """Return the routes that have traffic for a split, the team's or by our mark.

    With a `port`, one for other ports of the Service has none of those requests.
    """
    return [
        (dialect, route)
        for dialect, route in routes
        if not other_ports(route, split_on(route, key, split).stable, port)
        if any(leads(dialect, route, key, it) for it in (split.stable, split.canary))
    ]


def is_another_s(route: Json, key: Key, split: TargetSplit) -> bool:
    """Tell whether a canary's Service is in a route by another target's mark alone."""
    splits, mine = standing(route).splits, name_on(route, key)
    others = {one.canary for target, one in splits.items() if target != mine}
    return mine not in splits and split_on(route, key, split).canary in others


def is_renamed(route: Json, key: Key, split: TargetSplit) -> bool:
    """Tell whether a target is split on a route by a canary's Service of another name."""
    before = standing(route).splits.get(name_on(route, key))
    return before is not None and before.canary != split_on(route, key, split).canary


def missing(dialect: Dialect, route: Json) -> Written | None:
    """Return what a route has to be for its mark, None where it is that already."""
    written = dialect.with_traffic(route, standing(route))
    is_there = written.spec == route["spec"] and written.mark.dump() == text_of(route)
    return None if is_there else written


def mark_wanted(key: Key, dialect: Dialect, route: Json, change: Change) -> Mark:
    """Return the mark of a route as a target changes it; what leaves it always may.

    Raises:
        Invalid: it would be one that is not read again, or that the route cannot carry; what it
            cannot carry already is no other target's fault.

    """
    before = standing(route)
    mark = change(dialect, route, before)
    if len(mark.staying) < len(mark.splits) or len(mark.in_rules) < len(before.in_rules):
        return mark
    if why := mark.too_much or dialect.with_traffic(route, mark).mark.too_much:
        raise Invalid(0, "MarkTooLarge", why)
    if refused := dialect.refused(route, mark):
        known, mine = dialect.refused(route, before), name_on(route, key)
        said = [it for name, it in refused.items() if name == mine or name not in known]
        if said:
            raise Invalid(0, "TrafficNotSaid", "; ".join(said))
    return mark


def declined_on(route: Json, key: Key, traffic: Traffic) -> str:
    """Say why a target's split stays out of a route that it is asked of, "" where it is in.

    What nobody misses is said where that alone was declined.
    """
    mine = standing(route).staying.get(name_on(route, key))
    if mine is None or (it := mine.declined) is None:
        return ""
    if traffic.is_nothing and it.shape != shape_of(NOTHING):
        return ""
    return kept_out(route, key)


def is_quiet(route: Json, key: Key) -> bool:
    """Tell whether a target's split is in a route with no share: nobody comes by it."""
    mine = standing(route).in_rules.get(name_on(route, key))
    return mine is not None and mine.traffic.is_nothing


def unheard(dialect: Dialect, route: Json, key: Key) -> str:
    """Say which gateway of a route has not heard of the canary's Service, "" where none says so."""
    mark, name = standing(route), name_on(route, key)
    if not is_passing(dialect, route, mark, name):
        return ""
    return f"{called(route, key)}: {declines(dialect, route, mark, name, lasting=True)}"


def kept_out(route: Json, key: Key) -> str:
    """Say why a target's split stays out of a route, "" where it does not."""
    mine = standing(route).staying.get(name_on(route, key))
    if mine is None or mine.declined is None:
        return ""
    return (
        f"{mine.declined.said}; the canary stays out of it for this run, until the Canary asks for "
        "other traffic or the route's own text changes"
    )


def name_of(route: Json) -> str:
    """Return the name of a route."""
    return str(route["metadata"]["name"])


def called(route: Json, key: Key) -> str:
    """Return what messages call a route: of each kind and place there may be one of its name."""
    return f"{route['kind']} {seen_from(key.namespace, space_of(route), name_of(route))}"


def uneven(carried: Mapping[str, frozenset[Traffic]]) -> str:
    """Say which shares the canary has, by what the routes are called."""
    said: Iterable[str] = (
        f"{' and '.join(map(str, sorted(found, key=by_size)))} on {name}"
        for name, found in sorted(carried.items())
        if found
    )
    return f"the canary's share is not the same on all routes: {', '.join(said)}"


def note_of(text: str) -> Json:
    """Return the patch by which a route has a mark's text; none by an empty one."""
    return {"metadata": {"annotations": {SPLIT: text or None}}}


def rest_of(lacks: Written, route: Json) -> Json:
    """Return the patch for what a route lacks: its mark, and the fields of its spec that differ."""
    patch = note_of(lacks.mark.dump())
    before = route["spec"]
    changed = {field: it for field, it in lacks.spec.items() if it != before.get(field)}
    return {**patch, "spec": changed} if changed else patch
