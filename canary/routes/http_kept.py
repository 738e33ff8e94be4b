"""What the mark keeps of the rules that are split, and the rules as the team wrote them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from canary.model.values import Json
from canary.routes.http_parts import (
    COUNTS,
    MOST,
    SCALE,
    has_service,
    is_service,
    name_of,
    of_canary,
    or_one,
    part,
    refs_of,
    rest_of,
    scale,
    service_in,
    weight_of,
    with_weight,
)
from canary.routes.mark import Mark, TargetSplit

_MOST_COUNTED: Final = 2**63 - 1
"""The largest weight of a kind that has its own meaning of one: an int64."""
Splits = Mapping[str, TargetSplit]
"""Splits by the name of their stable or canary Service."""


def by(service: Callable[[TargetSplit], str], splits: Splits) -> Splits:
    """Return the splits by a Service; of two targets behind one Service the first has it."""
    return {
        service(split): split
        for _, split in sorted(splits.items(), key=itemgetter(0), reverse=True)
    }


def split_of(ref: Json, by_service: Splits, space: str) -> TargetSplit | None:
    """Return the split whose Service a backend is, None where it is nobody's."""
    found = by_service.get(str(ref.get("name")))
    return found if found is not None and is_service(ref, str(ref.get("name")), space) else None


def is_shared(rule: Json, by_service: Splits, space: str) -> bool:
    """Tell whether a rule leads to a Service of a split."""
    return any(split_of(ref, by_service, space) is not None for ref in refs_of(rule))


@dataclass(frozen=True, slots=True)
class _Backend:
    """A backend of a rule with what its canary has of its part; `shared` if it has one."""

    ref: Json
    part: int
    shared: bool


@dataclass(frozen=True, slots=True)
class _Weight:
    """A backend's weight as the team wrote it, None where it did not, and what it counts for.

    `counted` says that its kind has its own meaning of a weight. With `among_others` it counts so
    as long as all others of its rule stay as they were.
    """

    name: str
    written: int | None
    counts: int
    counted: bool = False
    among_others: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    """The backends of one rule as the team wrote them, from the mark."""

    rest: str
    weights: tuple[_Weight, ...]

    @property
    def scale(self) -> int:
        """The scale that the rule was split with."""
        return scale(it.counts for it in self.weights)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A rule's backends as the team wrote them, and how many of them are untouched since."""

    refs: list[Json]
    untouched: int


@dataclass(slots=True)
class _Memory:
    """What the mark keeps of the rules, in their order, and which of them are taken already."""

    rules: list[_Kept]
    in_order: bool
    taken: set[int] = field(default_factory=set)

    def plain(self, backends: list[_Backend], rest: str, place: int) -> list[Json] | None:
        """Return a rule's backends as written; None if nothing is kept of it.

        A rule is known by all that it says beside its backends, then by its place where none has
        come or gone, then by its weights.
        """
        names = {name_of(backend.ref) for backend in backends}
        # A kind is given back its own weights alone: those of another may be more than it takes.
        counted = any(COUNTS in backend.ref for backend in backends)
        found = [
            (
                (kept.rest == rest, self.in_order and index == place),
                index,
                _restored(backends, kept),
            )
            for index, kept in enumerate(self.rules)
            if names & {it.name for it in kept.weights if it.counted == counted}
        ]
        if not found:
            return None
        _, index, plain = max(
            found, key=lambda it: (*it[0], it[1] not in self.taken, it[2].untouched, -it[1])
        )
        self.taken.add(index)
        return plain.refs


def plain_rules(rules: list[Json], mark: Mark, space: str) -> list[Json]:
    """Return the rules as the team wrote them: those without a canary are so already."""
    ours = by(lambda split: split.canary, mark.splits)
    mine_of = put_in(rules, ours, mark, space)
    split = [index for index, rule in enumerate(rules) if is_shared(rule, mine_of[index], space)]
    kept = _read_kept(mark)
    memory = _Memory(kept, in_order=len(kept) == len(split))
    plain = list(rules)
    for place, index in enumerate(split):
        rule, mine = rules[index], mine_of[index]
        backends = _backends(rule, mine, space)
        refs = memory.plain(backends, rest_of(rule), place)
        if refs is None:
            refs = _divided(backends, _canaries(rule, mine, space))
        plain[index] = {**rule, "backendRefs": refs}
    return plain


def put_in(rules: list[Json], ours: Splits, mark: Mark, space: str) -> list[Splits]:
    """Return for each rule the splits whose canaries we have put into it, by their canary.

    Each stands beside its stable, or did when the rule was split; elder marks keep nothing of that.
    A rule that leads to a canary alone is the team's own, such as one by which it looks at it,
    unless a rule that said the same had the stable and has it no more.
    """
    missing = Counter(
        (it.rest, service)
        for it in _read_kept(mark)
        for service in {service_in(weight.name, space) for weight in it.weights}
    )
    missing.subtract(
        (rest_of(rule), split.stable)
        for rule in rules
        for split in ours.values()
        if has_service(rule, split.stable, space)
    )
    return [_put_into(rule, ours, missing, mark, space) for rule in rules]


def _put_into(
    rule: Json, ours: Splits, missing: Counter[tuple[str, str]], mark: Mark, space: str
) -> Splits:
    found = {}
    for canary, split in ours.items():
        place = rest_of(rule), split.stable
        if mark.elder or has_service(rule, split.stable, space):
            found[canary] = split
        elif missing[place] > 0 and has_service(rule, canary, space):
            missing[place] -= 1
            found[canary] = split
    return found


def _backends(rule: Json, ours: Splits, space: str) -> list[_Backend]:
    """Return a rule's backends without our canaries, each with its canary's weight added."""
    waiting = [ref for ref in refs_of(rule) if split_of(ref, ours, space)]
    backends = []
    for ref in refs_of(rule):
        if split_of(ref, ours, space):
            continue
        mine = next((it for it in waiting if _stands_by(it, ref, ours, space)), None)
        if mine is not None:
            waiting.remove(mine)
        more = 0 if mine is None else weight_of(mine)
        backends.append(_Backend(ref, weight_of(ref) + more, mine is not None))
    return backends


def _stands_by(canary: Json, ref: Json, ours: Splits, space: str) -> bool:
    """Tell whether a canary was made for this backend: they differ by name, subset and weight."""
    stable = ours[canary["name"]].stable
    same = with_weight({**canary, "name": stable}, 0) == with_weight(of_canary(ref), 0)
    return same and is_service(ref, stable, space)


def _restored(backends: list[_Backend], kept: _Kept) -> _Plain:
    """Return what was kept of each backend, and as it stands what somebody has changed."""
    found = _found_again(backends, kept)
    # A mirror is no Service here: it has no part of the traffic, whoever adds one.
    whole = all(
        it is not None or backend.ref.get("kind", "Service") != "Service"
        for backend, it in zip(backends, found, strict=True)
    )
    refs = [
        backend.ref if it is None else with_weight(backend.ref, _weight_again(it, whole=whole))
        for backend, it in zip(backends, found, strict=True)
    ]
    return _Plain(refs, sum(it is not None for it in found))


def _found_again(backends: list[_Backend], kept: _Kept) -> list[_Weight | None]:
    """Return what is kept of each backend, None for one that is new or was changed.

    Of several of one name each is first looked for at its own place among them.
    """
    left: dict[str, list[_Weight | None]] = defaultdict(list)
    for weight in kept.weights:
        left[weight.name].append(weight)
    found: list[_Weight | None] = [None] * len(backends)
    met: Counter[str] = Counter()
    for at, backend in enumerate(backends):
        known, place = left[name_of(backend.ref)], met[name_of(backend.ref)]
        met[name_of(backend.ref)] += 1
        if place < len(known) and _is_untouched(backend, known[place], kept.scale):
            found[at], known[place] = known[place], None
    for at, backend in enumerate(backends):
        known = left[name_of(backend.ref)]
        same = [i for i, it in enumerate(known) if _is_untouched(backend, it, kept.scale)]
        if found[at] is None and same:
            found[at], known[same[0]] = known[same[0]], None
    return found


def _is_untouched(backend: _Backend, weight: _Weight | None, scale: int) -> bool:
    if weight is None:
        return False
    return part(weight.counts, scale, shared=backend.shared) == backend.part


def _weight_again(weight: _Weight, *, whole: bool) -> int | None:
    return weight.written if whole or not weight.among_others else weight.counts


def _divided(backends: list[_Backend], canaries: int) -> list[Json]:
    """Return the backends of a rule of which nothing is kept.

    The version before multiplied by SCALE once for each target that it found. A weight that this
    does not divide was written by somebody since, and is left: with its canary's it may be more
    than the API takes.
    """
    scale = SCALE**canaries
    return [
        with_weight(it.ref, weight_of(it.ref) if it.part % scale else it.part // scale)
        for it in backends
    ]


def _canaries(rule: Json, ours: Splits, space: str) -> int:
    return len({ref["name"] for ref in refs_of(rule) if split_of(ref, ours, space)})


def kept_of(rule: Json) -> Json:
    """Return what the mark keeps of a rule: its weights, and by what it is known again."""
    return {"rest": rest_of(rule), "weights": [_weight_kept(ref) for ref in refs_of(rule)]}


def _weight_kept(ref: Json) -> list[Any]:
    """Return a backend's name and weight, and what it counts for where its kind says so."""
    counts = [ref[COUNTS]] if COUNTS in ref else []
    return [name_of(ref), ref.get("weight"), *counts]


def _read_kept(mark: Mark) -> list[_Kept]:
    """Return what the mark keeps, without what none of our versions has written so."""
    return [
        _Kept(rest, tuple(map(_weight_read, weights)))
        for rule in mark.kept
        if type(rest := rule.get("rest")) is str and type(weights := rule.get("weights")) is list
        if all(map(_is_kept, weights))
    ]


def _weight_read(entry: list[Any]) -> _Weight:
    name, written, *counts = entry
    if not counts:
        return _Weight(name, written, or_one(written))
    among_others = counts[0] != (written or 0)
    return _Weight(name, written, counts[0], counted=True, among_others=among_others)


def _is_kept(entry: Any) -> bool:
    """Tell whether an entry is a backend's name, and a weight that the API takes or none."""
    match entry:
        case [str(), weight]:
            return weight is None or _is_weight(weight, MOST)
        case [str(), weight, counts]:
            return (weight is None or _is_weight(weight, _MOST_COUNTED)) and _is_weight(
                counts, _MOST_COUNTED
            )
        case _:
            return False


def _is_weight(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most
