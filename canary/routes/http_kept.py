"""What the mark keeps of the rules that are split, and the rules as the team wrote them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from canary.model.values import Json
from canary.routes.http_parts import (
    MOST,
    SCALE,
    has_service,
    is_service,
    name_of,
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
class _Kept:
    """The backends of one rule as the team wrote them, from the mark; a weight may be absent."""

    rest: str
    weights: tuple[tuple[str, int | None], ...]

    @property
    def scale(self) -> int:
        """The scale that the rule was split with."""
        return scale(or_one(weight) for _, weight in self.weights)


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
        found = [
            (
                (kept.rest == rest, self.in_order and index == place),
                index,
                _restored(backends, kept),
            )
            for index, kept in enumerate(self.rules)
            if names & {name for name, _ in kept.weights}
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
        for service in {service_in(name) for name, _ in it.weights}
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
    """Tell whether a canary was made for this backend: they differ by name and weight alone."""
    stable = ours[canary["name"]].stable
    same = {**canary, "name": stable, "weight": 0} == {**ref, "weight": 0}
    return same and is_service(ref, stable, space)


def _restored(backends: list[_Backend], kept: _Kept) -> _Plain:
    """Return what was kept of each backend, and as it stands what somebody has changed."""
    left: dict[str, list[int | None]] = defaultdict(list)
    for name, weight in kept.weights:
        left[name].append(weight)
    refs, untouched = [], 0
    for backend in backends:
        known = left[name_of(backend.ref)]
        same = [
            weight
            for weight in known
            if part(or_one(weight), kept.scale, shared=backend.shared) == backend.part
        ]
        if same:
            known.remove(same[0])
            untouched += 1
        refs.append(with_weight(backend.ref, same[0]) if same else backend.ref)
    return _Plain(refs, untouched)


def _divided(backends: list[_Backend], canaries: int) -> list[Json]:
    """Return the backends of a rule of which nothing is kept.

    The version before multiplied by SCALE once for each target that it found. A weight that this
    does not divide was written by somebody since, and is left.
    """
    scale = SCALE**canaries
    return [
        with_weight(it.ref, it.part // scale if it.part % scale == 0 else it.part)
        for it in backends
    ]


def _canaries(rule: Json, ours: Splits, space: str) -> int:
    return len({ref["name"] for ref in refs_of(rule) if split_of(ref, ours, space)})


def kept_of(rule: Json) -> Json:
    """Return what the mark keeps of a rule: its weights, and by what it is known again."""
    weights = [[name_of(ref), ref.get("weight")] for ref in refs_of(rule)]
    return {"rest": rest_of(rule), "weights": weights}


def _read_kept(mark: Mark) -> list[_Kept]:
    """Return what the mark keeps, without what none of our versions has written so."""
    return [
        _Kept(rest, tuple((name, weight) for name, weight in weights))
        for rule in mark.kept
        if type(rest := rule.get("rest")) is str and type(weights := rule.get("weights")) is list
        if all(map(_is_kept, weights))
    ]


def _is_kept(entry: Any) -> bool:
    """Tell whether an entry is a backend's name, and a weight that the API takes or none."""
    match entry:
        case [str(), weight]:
            return weight is None or (type(weight) is int and 0 <= weight <= MOST)
        case _:
            return False
