"""What stands in an HTTPRoute beside the team's rules, and in them beside weights.

To give the canary the requests that match, or that carry a cookie, a rule is put in front of the
team's own: it says the same, and matches what both ask for. A rule that has more conditions comes
first with every gateway. A mirror is a filter of the rule, and a cookie that is set is a filter of
a backend. The mark remembers each of them by a digest; nothing is ours because it looks like it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from canary.model.values import FULL, Json
from canary.routes.http_kept import Splits, is_shared, split_of
from canary.routes.http_matches import UnsaidError, lowered
from canary.routes.http_parts import (
    digest,
    has_service,
    is_service,
    part,
    refs_of,
    scale_of,
    shared_out,
    weight_of,
    without_name,
)
from canary.routes.mark import Mark, TargetSplit
from canary.routes.variants import Put, Variant, cookies_of

MOST_RULES: Final = 16
MOST_BACKENDS: Final = 16
MOST_FILTERS: Final = 16
MOST_MATCHES: Final = 64
MOST_MATCHES_IN_ALL: Final = 128
MOST_CONDITIONS: Final = 16
_DIGITS: Final = 16
_MODIFIER: Final = "responseHeaderModifier"


# --- what a variant is written as ---------------------------------------------------------------


def written(variant: Variant, staying: Splits, space: str, *, percent: bool) -> Put:
    """Return the rule of a variant.

    Args:
        variant: what it is to say.
        staying: all splits, by their stable.
        space: the route's namespace.
        percent: whether the cluster knows a mirror of less than all requests.

    Raises:
        UnsaidError: an HTTPRoute cannot say it.

    """
    scale = scale_of(variant.rule)
    refs = [
        new
        for ref in refs_of(variant.rule)
        for new in _split_ref(ref, scale, variant, staying, space)
    ]
    mirrors = [
        mirror
        for split in staying.values()
        if (mirror := _mirror(variant, split, space, percent=percent)) is not None
    ]
    rule = {**variant.rule, "backendRefs": refs}
    if mirrors:
        rule["filters"] = [*(rule.get("filters") or ()), *mirrors]
    headers = [it for split in variant.drawn for it in cookies_of(split) if it]
    parts = {*map(_mirror_digest, mirrors), *(digest(it, _DIGITS) for it in headers)}
    return Put(rule=rule, parts=frozenset(parts))


def _split_ref(ref: Json, scale: int, variant: Variant, staying: Splits, space: str) -> list[Json]:
    split = split_of(ref, staying, space)
    units = part(weight_of(ref), scale, shared=split is not None)
    if split is None:
        return [{**ref, "weight": units}]
    stable_s, canary_s = shared_out(units, variant.shares[split.stable])
    stable = {**ref, "weight": stable_s}
    canary = {**ref, "name": split.canary, "weight": canary_s}
    if split not in variant.drawn:
        return [stable, canary]
    of_canary, of_stable = cookies_of(split)
    return [_with_header(stable, of_stable), _with_header(canary, of_canary)]


def _with_header(ref: Json, header: Json) -> Json:
    """Return a backend whose answers have one header more; a kind of filter stands there once."""
    if not header:
        return ref
    filters = list(ref.get("filters") or ())
    at = next((i for i, it in enumerate(filters) if it.get("type") == _TYPE), None)
    modifier = {} if at is None else dict(filters[at].get(_MODIFIER) or {})
    more = list(modifier.get("add") or ())
    if any(lowered(it.get("name")) == "set-cookie" for it in more):
        raise UnsaidError(
            f"backend {ref.get('name')} adds a header Set-Cookie already, and an HTTPRoute adds "
            "each once; take it out, or take sessionAffinity out of the Canary"
        )
    new = {"type": _TYPE, _MODIFIER: {**modifier, "add": [*more, header]}}
    if at is None:
        return {**ref, "filters": [*filters, new]}
    return {**ref, "filters": [*filters[:at], new, *filters[at + 1 :]]}


_TYPE: Final = "ResponseHeaderModifier"


def _mirror(variant: Variant, split: TargetSplit, space: str, *, percent: bool) -> Json | None:
    """Return the filter by which the canary gets a copy of the stable's requests, if it does."""
    rule, share = variant.rule, split.traffic.mirror
    if not share or variant.shares.get(split.stable, FULL) == FULL:
        return None
    backends = [ref for ref in refs_of(rule) if weight_of(ref)]
    if any(not is_service(ref, split.stable, space) for ref in backends):
        raise UnsaidError(
            f"a rule leads to other backends beside {split.stable}, and an HTTPRoute copies the "
            "requests to all of them; give the Service a rule of its own, or do without mirror"
        )
    if not backends:
        return None
    backend = without_name({"group": "", "kind": "Service", "name": split.canary})
    if "port" in backends[0]:
        backend["port"] = backends[0]["port"]
    said: Json = {"backendRef": backend} | ({"percent": share} if percent else {})
    return {"type": "RequestMirror", "requestMirror": said}


def too_much(rules: list[Json]) -> str:
    """Say what there is more of than an HTTPRoute takes, "" where it takes all of it."""
    matches = [len(rule.get("matches") or [{}]) for rule in rules]
    tests = [
        len(match.get(which) or ())
        for rule in rules
        for match in rule.get("matches") or ()
        for which in ("headers", "queryParams")
    ]
    found = (
        ("rules", len(rules), MOST_RULES),
        ("matches in a rule", max(matches, default=0), MOST_MATCHES),
        ("matches", sum(matches), MOST_MATCHES_IN_ALL),
        ("backends in a rule", _most(rules, "backendRefs"), MOST_BACKENDS),
        ("filters in a rule", _most(rules, "filters"), MOST_FILTERS),
        ("headers or parameters in a match", max(tests, default=0), MOST_CONDITIONS),
    )
    return "; ".join(
        f"it would have {count} {what}, and an HTTPRoute takes {most}"
        for what, count, most in found
        if count > most
    )


def _most(rules: list[Json], field: str) -> int:
    return max((len(rule.get(field) or ()) for rule in rules), default=0)


# --- what is ours -------------------------------------------------------------------------------


def noted(rules: list[tuple[Put, bool]]) -> tuple[str, ...]:
    """Return what the mark remembers of all that was put in beside weights.

    Args:
        rules: all rules of a route, each with whether it was put in front of a team's.

    """
    whole = [
        f"rule {at} {digest(put.rule, _DIGITS)} {_looks(put.rule)}"
        for at, (put, added) in enumerate(rules)
        if added
    ]
    parts = frozenset[str]().union(*(put.parts for put, _ in rules))
    return (*whole, *(f"part {it}" for it in sorted(parts)))


def _looks(rule: Json) -> str:
    return digest(rule.get("matches"), _DIGITS)


def _mirror_digest(found: Json) -> str:
    """Return the digest of a mirror but for its percent, which the cluster may not know."""
    said = {**(found.get("requestMirror") or {}), "percent": None}
    return digest({**found, "requestMirror": said}, _DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bared:
    """Rules without what was put in beside weights.

    `percent` is False where the cluster has taken the percent off a mirror of ours.
    """

    rules: list[Json]
    percent: bool


def bared(rules: list[Json], mark: Mark, space: str) -> Bared:
    """Take out all that the mark remembers, and leave what looks like it but is not ours."""
    parts, left = _parts_in(mark), without_ours(rules, mark, space)
    if not parts:
        return Bared(rules=left, percent=True)
    canaries = _by_canary(mark)
    split = [is_shared(rule, canaries, space) for rule in left]
    percent = not any(
        _mirror_digest(it) in parts and "percent" not in it["requestMirror"]
        for rule, put_in in zip(left, split, strict=True)
        if put_in
        for it in rule.get("filters") or ()
        if it.get("type") == "RequestMirror" and it.get("requestMirror")
    )
    found = [
        _without_parts(rule, parts) if put_in else rule
        for rule, put_in in zip(left, split, strict=True)
    ]
    return Bared(rules=found, percent=percent)


def without_ours(
    rules: list[Json],
    mark: Mark,
    space: str,
    strip: Callable[[Json, set[str]], Json] | None = None,
) -> list[Json]:
    """Return the team's rules, without those that were put in front of them.

    Args:
        rules: all rules of a route.
        mark: what it remembers.
        space: the route's namespace.
        strip: returns a rule without the parts of ours, which have these digests; None where a
            kind has no such parts.

    """
    canaries = _by_canary(mark)
    gone = _our_rules(rules, mark, canaries, space)
    left = [rule for at, rule in enumerate(rules) if at not in gone]
    parts = _parts_in(mark)
    if strip is None or not parts:
        return left
    return [strip(rule, parts) if is_shared(rule, canaries, space) else rule for rule in left]


def _by_canary(mark: Mark) -> Splits:
    return {split.canary: split for split in mark.splits.values()}


def _parts_in(mark: Mark) -> set[str]:
    return {it.removeprefix("part ") for it in mark.added if it.startswith("part ")}


def _our_rules(rules: list[Json], mark: Mark, canaries: Splits, space: str) -> set[int]:
    """Return which rules were put in front of the team's.

    One that somebody has edited is known by its matches, as long as the route is the stored one:
    left there, it would lead to a Service that goes.
    """
    found = [digest(rule, _DIGITS) for rule in rules]
    gone: set[int] = set()
    edited = []
    for at, whole, looks in (_read(it) for it in mark.added if it.startswith("rule ")):
        same = [i for i, it in enumerate(found) if it == whole and i not in gone]
        gone |= {at} if at in same else set(same[:1])
        edited += [] if same else [looks]
    left = [i for i in range(len(rules)) if i not in gone]
    if not edited or not any(_is_split(rules[i], canaries, space) for i in left):
        return gone
    for looks in edited:
        alike = [
            i
            for i in left
            if i not in gone and _looks(rules[i]) == looks and is_shared(rules[i], canaries, space)
        ]
        gone |= set(alike[:1])
    return gone


def _is_split(rule: Json, canaries: Splits, space: str) -> bool:
    """Tell whether a rule leads to a stable and to its canary."""
    return any(
        has_service(rule, split.stable, space) and has_service(rule, canary, space)
        for canary, split in canaries.items()
    )


def _read(note: str) -> tuple[int, str, str]:
    """Read what is remembered of a rule; of one that nobody of ours has written, nothing is."""
    match note.split(" "):
        case [_, at, whole, looks] if at.isdecimal() and len(at) < len("1000"):
            return int(at), whole, looks
        case _:
            return -1, "", ""


def _without_parts(rule: Json, parts: set[str]) -> Json:
    refs = [_without_headers(ref, parts) for ref in refs_of(rule)]
    filters: list[Json] = []
    seen: set[str] = set()
    for it in reversed(rule.get("filters") or ()):
        ours = it.get("type") == "RequestMirror" and _mirror_digest(it)
        if ours and ours in parts and ours not in seen:
            seen.add(ours)
        else:
            filters.insert(0, it)
    return _with_filters({**rule, "backendRefs": refs}, filters)


def _without_headers(ref: Json, parts: set[str]) -> Json:
    filters = []
    for it in ref.get("filters") or ():
        added = (it.get(_MODIFIER) or {}).get("add") or ()
        left = [header for header in added if digest(header, _DIGITS) not in parts]
        if len(left) == len(added):
            filters.append(it)
            continue
        modifier = {key: value for key, value in it[_MODIFIER].items() if key != "add"}
        modifier |= {"add": left} if left else {}
        if modifier:
            filters.append({**it, _MODIFIER: modifier})
    return _with_filters(ref, filters)


def _with_filters(holder: Json, filters: list[Json]) -> Json:
    """Return a rule or backend with what is left of its filters."""
    if filters == list(holder.get("filters") or ()):
        return holder
    rest = {key: value for key, value in holder.items() if key != "filters"}
    return {**rest, "filters": filters} if filters else rest
