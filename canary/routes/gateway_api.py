"""HTTPRoutes of the Gateway API.

A rule's weights are whole numbers of at most a million. Where a rule leads to a target that is
split, all its weights are multiplied by one scale, however many of its targets are, and each
stable's part is shared with its canary, which stands right behind it. That part is the same at
every step, so a part that is another one was written by somebody else. A rule without a canary in
it is the team's own text.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Final

from canary.model.traffic import Traffic
from canary.model.values import FULL, Json
from canary.routes.dialect import Written
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of

MOST: Final = 1_000_000
"""The largest weight that the API takes."""
SCALE: Final = 100
"""Largest scale: whole percents are exact with it. It was the only one of the elder marks."""
PARTS: Final = 100
"""Least units of a backend that is shared: with fewer no percent could be told from the next."""

Splits = Mapping[str, TargetSplit]
"""Splits by the name of their stable or canary Service."""


class HttpRoutes:
    """The dialect of HTTPRoutes. See `canary.routes.dialect.Dialect`."""

    kind = "HTTPRoute"

    def leads_to(self, route: Json, service: str) -> bool:
        """Tell whether any rule names the Service."""
        space = _space(route)
        return any(_is(ref, service, space) for rule in _rules(route) for ref in _refs(rule))

    def with_traffic(self, route: Json, mark: Mark) -> Written:
        """Return the rules with each canary beside its stable, and what they were before."""
        space = _space(route)
        staying = _by(lambda split: split.stable, mark.staying)
        plain = _plain(_rules(route), mark, space)
        shared = [rule for rule in plain if _is_shared(rule, staying, space)]
        settled = Mark(splits=mark.staying, kept=tuple(_kept(rule) for rule in shared))
        if mark.elder and len(mark.splits) == 1 and all(_scale_of(r) == SCALE for r in shared):
            settled = replace(settled, kept=(), elder=mark.elder)
        rules = [_split_rule(rule, staying, space) for rule in plain]
        return Written(spec=_with_rules(route["spec"], rules), mark=settled)

    def without_traffic(self, route: Json, mark: Mark) -> Json:
        """Return the spec without any canary of the mark."""
        return _with_rules(route["spec"], _plain(_rules(route), mark, _space(route)))

    def carried(self, route: Json, split: TargetSplit) -> frozenset[Traffic]:
        """Return the share in each rule that has traffic for stable or canary."""
        space, mark = _space(route), mark_of(route) or NO_MARK
        mine = {split.canary: split}
        found = (
            _share(rule, split, space)
            for rule in _rules(route)
            if _put_in(rule, mine, mark, space) or not _is_shared(rule, mine, space)
        )
        return frozenset(Traffic(share) for share in found if share is not None)

    def accepted(self, route: Json) -> bool:
        """Tell whether every parent has seen the stored generation."""
        generation = route["metadata"].get("generation", 0)
        return all(
            condition.get("observedGeneration", 0) >= generation
            for parent in (route.get("status") or {}).get("parents") or ()
            for condition in parent.get("conditions") or ()
            if condition.get("type") == "Accepted"
        )

    def companions(self, route: Json, mark: Mark) -> tuple[Json, ...]:
        """Return nothing: the backends stand in the route itself."""
        del route, mark
        return ()


# --- putting in ---------------------------------------------------------------------------------


def _split_rule(rule: Json, staying: Splits, space: str) -> Json:
    if not _is_shared(rule, staying, space):
        return rule
    scale = _scale_of(rule)
    refs = [new for ref in _refs(rule) for new in _split_ref(ref, scale, staying, space)]
    return {**rule, "backendRefs": refs}


def _split_ref(ref: Json, scale: int, staying: Splits, space: str) -> list[Json]:
    split = _split_of(ref, staying, space)
    part = _part(_weight(ref), scale, shared=split is not None)
    if split is None:
        return [{**ref, "weight": part}]
    canary = (part * split.weight + FULL // 2) // FULL
    return [
        {**ref, "weight": part - canary},
        {**ref, "name": split.canary, "weight": canary},
    ]


def _scale_of(rule: Json) -> int:
    return _scale(_weight(ref) for ref in _refs(rule))


def _scale(weights: Iterable[int]) -> int:
    """Return the scale of a rule: as fine as the API's largest weight allows."""
    return max(1, min(SCALE, MOST // max(1, max(weights, default=0))))


def _part(weight: int, scale: int, *, shared: bool) -> int:
    """Return the units of a backend, its canary's among them.

    Where PARTS are more than its share of the rule, they are less than one in a thousand of it.
    """
    units = weight * scale
    return max(units, PARTS) if shared and weight else units


def _is_shared(rule: Json, staying: Splits, space: str) -> bool:
    return any(_split_of(ref, staying, space) is not None for ref in _refs(rule))


def _by(service: Callable[[TargetSplit], str], splits: Splits) -> Splits:
    """Return the splits by a Service; of two targets behind one Service the first has it."""
    return {
        service(split): split
        for _, split in sorted(splits.items(), key=itemgetter(0), reverse=True)
    }


def _split_of(ref: Json, by_service: Splits, space: str) -> TargetSplit | None:
    found = by_service.get(str(ref.get("name")))
    return found if found is not None and _is(ref, str(ref.get("name")), space) else None


# --- taking out ---------------------------------------------------------------------------------


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
        return _scale(_or_one(weight) for _, weight in self.weights)


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
        names = {_name(backend.ref) for backend in backends}
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


def _plain(rules: list[Json], mark: Mark, space: str) -> list[Json]:
    """Return the rules as the team wrote them: those without a canary are so already."""
    ours = _by(lambda split: split.canary, mark.splits)
    put_in = [_put_in(rule, ours, mark, space) for rule in rules]
    split = [index for index, rule in enumerate(rules) if _is_shared(rule, put_in[index], space)]
    kept = _read_kept(mark)
    memory = _Memory(kept, in_order=len(kept) == len(split))
    plain = list(rules)
    for place, index in enumerate(split):
        rule, mine = rules[index], put_in[index]
        backends = _backends(rule, mine, space)
        refs = memory.plain(backends, _rest(rule), place)
        if refs is None:
            refs = _divided(backends, _canaries(rule, mine, space))
        plain[index] = {**rule, "backendRefs": refs}
    return plain


def _put_in(rule: Json, ours: Splits, mark: Mark, space: str) -> Splits:
    """Return the splits whose canaries we have put into a rule, by their canary.

    Each stands beside its stable, or did when the rule was split; elder marks keep nothing of that.
    A rule that leads to a canary alone is the team's own, such as one by which it looks at it.
    """
    rest = _rest(rule)
    before = {
        _service(name) for it in _read_kept(mark) if it.rest == rest for name, _ in it.weights
    }
    return {
        canary: split
        for canary, split in ours.items()
        if mark.elder
        or split.stable in before
        or any(_is(ref, split.stable, space) for ref in _refs(rule))
    }


def _backends(rule: Json, ours: Splits, space: str) -> list[_Backend]:
    """Return a rule's backends without our canaries, each with its canary's weight added."""
    waiting = [ref for ref in _refs(rule) if _split_of(ref, ours, space)]
    backends = []
    for ref in _refs(rule):
        if _split_of(ref, ours, space):
            continue
        mine = next((it for it in waiting if _stands_by(it, ref, ours, space)), None)
        if mine is not None:
            waiting.remove(mine)
        more = 0 if mine is None else _weight(mine)
        backends.append(_Backend(ref, _weight(ref) + more, mine is not None))
    return backends


def _stands_by(canary: Json, ref: Json, ours: Splits, space: str) -> bool:
    """Tell whether a canary was made for this backend: they differ by name and weight alone."""
    stable = ours[canary["name"]].stable
    same = {**canary, "name": stable, "weight": 0} == {**ref, "weight": 0}
    return same and _is(ref, stable, space)


def _restored(backends: list[_Backend], kept: _Kept) -> _Plain:
    """Return what was kept of each backend, and as it stands what somebody has changed."""
    left: dict[str, list[int | None]] = defaultdict(list)
    for name, weight in kept.weights:
        left[name].append(weight)
    refs, untouched = [], 0
    for backend in backends:
        known = left[_name(backend.ref)]
        same = [
            weight
            for weight in known
            if _part(_or_one(weight), kept.scale, shared=backend.shared) == backend.part
        ]
        if same:
            known.remove(same[0])
            untouched += 1
        refs.append(_with_weight(backend.ref, same[0]) if same else backend.ref)
    return _Plain(refs, untouched)


def _divided(backends: list[_Backend], canaries: int) -> list[Json]:
    """Return the backends of a rule of which nothing is kept.

    The version before multiplied by SCALE once for each target that it found. A weight that this
    does not divide was written by somebody since, and is left.
    """
    scale = SCALE**canaries
    return [
        _with_weight(it.ref, it.part // scale if it.part % scale == 0 else it.part)
        for it in backends
    ]


def _canaries(rule: Json, ours: Splits, space: str) -> int:
    return len({ref["name"] for ref in _refs(rule) if _split_of(ref, ours, space)})


# --- what is kept -------------------------------------------------------------------------------


def _kept(rule: Json) -> Json:
    """Return what the mark keeps of a rule: its weights, and by what it is known again."""
    weights = [[_name(ref), ref.get("weight")] for ref in _refs(rule)]
    return {"rest": _rest(rule), "weights": weights}


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


def _rest(rule: Json) -> str:
    """Return a short digest of all that a rule says beside its backends."""
    rest = {key: value for key, value in rule.items() if key != "backendRefs"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _name(ref: Json) -> str:
    """Return what tells a backend from others: short for a Service of the same namespace."""
    fields = (ref.get("group") or "", ref.get("kind", "Service"), ref.get("namespace") or "")
    where = "" if fields == ("", "Service", "") else "/".join((*fields, ""))
    return f"{where}{ref.get('name')}:{ref.get('port', '')}"


# --- reading ------------------------------------------------------------------------------------


def _service(name: str) -> str:
    """Return the Service of a backend's name as it is kept."""
    return name.partition(":")[0].rpartition("/")[2]


def _share(rule: Json, split: TargetSplit, space: str) -> int | None:
    """Return the canary's share in percent; None in a rule that has traffic for neither."""
    canary = sum(_weight(ref) for ref in _refs(rule) if _is(ref, split.canary, space))
    stable = sum(_weight(ref) for ref in _refs(rule) if _is(ref, split.stable, space))
    return round(FULL * canary / (canary + stable)) if canary + stable else None


def _rules(route: Json) -> list[Json]:
    return list(route["spec"].get("rules") or ())


def _refs(rule: Json) -> list[Json]:
    return list(rule.get("backendRefs") or ())


def _with_rules(spec: Json, rules: list[Json]) -> Json:
    return {**spec, "rules": rules} if spec.get("rules") else spec


def _space(route: Json) -> str:
    return str(route["metadata"].get("namespace", ""))


def _weight(ref: Json) -> int:
    return _or_one(ref.get("weight"))


def _or_one(weight: int | None) -> int:
    """Return a weight, or the API's default for an absent one."""
    return 1 if weight is None else int(weight)


def _with_weight(ref: Json, weight: int | None) -> Json:
    rest: dict[str, Any] = {key: value for key, value in ref.items() if key != "weight"}
    return rest if weight is None else {**rest, "weight": weight}


def _is(ref: Json, service: str, space: str) -> bool:
    """Tell whether a backend is this Service of the route's own namespace."""
    return (
        ref.get("name") == service
        and ref.get("kind", "Service") == "Service"
        and (ref.get("group") or "") in {"", "core"}
        and ref.get("namespace") in {None, space}
    )
