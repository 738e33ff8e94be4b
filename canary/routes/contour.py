"""HTTPProxies of Contour.

Its weights mean another thing than the Gateway API's: one that is absent is 0, and where all of a
route's are 0 each backend has the same. A mirror stands among the backends. Of two routes with the
same conditions Contour takes the last, whatever else they say; conditions of one route all hold,
so that each way to match is a route of its own.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from canary.model.traffic import Comparison, Condition, RequestMatch, Traffic
from canary.model.values import FULL, Json
from canary.routes.conditions import is_of_now, late, seen_before, who_of, why_of
from canary.routes.dialect import Trouble, Word
from canary.routes.http_added import Bared, without_ours
from canary.routes.http_kept import Splits, split_of
from canary.routes.http_matches import UnsaidError, value_match
from canary.routes.http_parts import (
    COUNTS,
    digest,
    has_service,
    is_service,
    part,
    refs_of,
    scale_of,
    shared_out,
    weight_of,
)
from canary.routes.mark import Mark, TargetSplit
from canary.routes.ruled import RuledRoutes, put_each
from canary.routes.variants import Put, Variant

_MIRROR: Final = "mirror"
"""Stands in place of a backend's kind while a route is worked on: no Service that has traffic."""
_SHARE: Final = "share"
_PATHS: Final = ("prefix", "exact", "regex")
_VALID: Final = "valid"
_TYPE: Final = "Valid"
_ORPHANED: Final = "Orphaned"
_NOT_HEARD_OF: Final = "ServiceUnresolvedReference"
_DIGITS: Final = 16


class HttpProxies(RuledRoutes):
    """The dialect of HTTPProxies. See `canary.routes.dialect.Dialect`."""

    kind = "HTTPProxy"

    def leads_to(self, route: Json, service: str) -> bool:
        """Tell whether any route names the Service; none counts where bytes are forwarded."""
        return not route["spec"].get("tcpproxy") and super().leads_to(route, service)

    def carried(self, route: Json, split: TargetSplit) -> frozenset[Traffic]:
        """Return the share in each route that has traffic for stable or canary."""
        return frozenset() if route["spec"].get("tcpproxy") else super().carried(route, split)

    def read(self, route: Json) -> list[Json]:
        """Return its routes as rules."""
        return [_as_rule(it) for it in route["spec"].get("routes") or ()]

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with these rules as its routes."""
        return {**spec, "routes": [_as_route(it) for it in rules]} if spec.get("routes") else spec

    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Take out routes and mirrors of ours."""
        return Bared(rules=without_ours(rules, mark, space, _without_mirrors), percent=True)

    def counted(self, rules: list[Json]) -> list[Json]:
        """Return the rules with what their weights count for."""
        return [_as_rule(_as_route(rule)) for rule in rules]

    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Put in shares, routes and mirrors."""
        del percent
        taken = [_looks(rule) for rule in plain]

        def one(rule: Json, staying: Splits) -> list[Put]:
            variants = _variants(rule, staying, taken, space)
            return [_written(variant, staying, space) for variant in variants]

        return put_each(plain, splits, space, one)

    def accepted(self, route: Json) -> bool:
        """Tell whether Contour serves the stored generation."""
        status = route.get("status") or {}
        return status.get("currentStatus") == _VALID and bool(_told(route))

    def lag(self, route: Json) -> str:
        """Say that Contour has seen an older generation, and not the stored one."""
        seen = max((seen_before(it, route) for it in _conditions(route)), default=0)
        return f"Contour {late(route, seen)}" if seen else ""

    def word(self, route: Json) -> Word:
        """Return what Contour says of the stored generation. Whose proxy includes it is not ours.

        An included proxy that nobody includes is an orphan, whatever stands in it.
        """
        told = _told(route)
        errors = [
            error
            for it in told
            if it.get("status") == "False"
            for error in it.get("errors") or [it]
            if error.get("type") != _ORPHANED
        ]
        return Word(troubles=tuple(map(_trouble, errors)), whole=bool(told))


# --- between its words and the arithmetic's -----------------------------------------------------


def _told(route: Json) -> list[Json]:
    """Return what Contour says of the stored generation."""
    return [it for it in _conditions(route) if is_of_now(it, route)]


def _conditions(route: Json) -> list[Json]:
    conditions = (route.get("status") or {}).get("conditions") or ()
    return [it for it in conditions if it.get("type") == _TYPE]


def _trouble(error: Json) -> Trouble:
    return Trouble(
        who=who_of(error.get("type"), error.get("reason")),
        said=f"Contour says Valid: False ({why_of(error)})",
        passing=error.get("reason") == _NOT_HEARD_OF,
    )


def _as_rule(route: Json) -> Json:
    """Return a route as a rule, with what each weight counts for."""
    services = list(route.get("services") or ())
    weights = [0 if it.get("mirror") else int(it.get("weight") or 0) for it in services]
    even = not any(weights)
    refs = [
        _as_mirror(it) if it.get("mirror") else {**it, COUNTS: 1 if even else weight}
        for it, weight in zip(services, weights, strict=True)
    ]
    rest = {key: it for key, it in route.items() if key not in {"services", "conditions"}}
    if "conditions" in route:
        rest["matches"] = route["conditions"]
    return {**rest, "backendRefs": refs} if "services" in route else rest


def _as_mirror(service: Json) -> Json:
    """Return a mirror as a backend that counts for nothing; its weight is the share it copies."""
    rest: dict[str, Any] = {key: it for key, it in service.items() if key != "weight"}
    share = {_SHARE: service["weight"]} if "weight" in service else {}
    return {**rest, **share, "kind": _MIRROR, COUNTS: 0}


def _as_route(rule: Json) -> Json:
    """Return a rule in HTTPProxy's words."""
    rest = {key: it for key, it in rule.items() if key not in {"backendRefs", "matches"}}
    if "matches" in rule:
        rest["conditions"] = rule["matches"]
    if "backendRefs" in rule:
        rest["services"] = [_as_service(ref) for ref in refs_of(rule)]
    return rest


def _as_service(ref: Json) -> Json:
    if ref.get("kind") != _MIRROR:
        return {key: it for key, it in ref.items() if key != COUNTS}
    rest = {key: it for key, it in ref.items() if key not in {COUNTS, _SHARE, "kind", "weight"}}
    return {**rest, "weight": ref[_SHARE]} if _SHARE in ref else rest


# --- putting in ---------------------------------------------------------------------------------


def _variants(rule: Json, staying: Splits, taken: list[str], space: str) -> list[Variant]:
    """Return the rules that take the place of one, in their order; its own is the last.

    Where a route would have the conditions of another one it is left out: Contour would take one
    of them for both. What has its own route already has been routed by the team.
    """
    mine = [split for split in staying.values() if has_service(rule, split.stable, space)]
    found = [Variant(rule=rule, shares={split.stable: split.weight for split in mine})]
    for split in sorted(mine, key=lambda it: it.stable):
        if split.traffic.affinity is not None:
            raise UnsaidError(
                "an HTTPProxy keeps no user with a version by a cookie of ours; take "
                f"sessionAffinity out of the Canary's analysis, or lead to {split.stable} by an "
                "HTTPRoute"
            )
        found = [new for one in found for new in _by_match(one, split)]
    own, seen = _looks(rule), set(taken)
    kept: list[Variant] = []
    for variant in found[:-1]:
        looks = _looks(variant.rule)
        if looks == own:  # all of the rule's requests match
            return [*kept, replace(variant, rule=rule)]
        if looks not in seen:
            seen.add(looks)
            kept.append(variant)
    return [*kept, found[-1]]


def _by_match(variant: Variant, split: TargetSplit) -> Iterable[Variant]:
    traffic = split.traffic
    if traffic.match and traffic.weight:
        for match in traffic.match:
            shares = {**variant.shares, split.stable: traffic.weight}
            yield replace(variant, rule=_narrowed(variant.rule, match), shares=shares)
    yield variant


def _narrowed(rule: Json, match: RequestMatch) -> Json:
    """Return a rule for those of its requests that match as well."""
    theirs = list(rule.get("matches") or ())
    ours = [
        *({"header": _header(it)} for it in match.headers),
        *({"queryParameter": _parameter(it)} for it in match.params),
    ]
    return {**rule, "matches": [*theirs, *(it for it in ours if it not in theirs)]}


def _header(condition: Condition) -> Json:
    """Return a test of a header, by a pattern whatever it is.

    Contour takes one exact test of a name for a request, and whoever includes the proxy may have
    one: it would refuse all of the proxy's routes then.
    """
    return {"name": condition.name, "regex": _pattern(condition)}


def _parameter(condition: Condition) -> Json:
    """Return a test of a query parameter. For the exact one see `_header`."""
    if condition.by in {Comparison.PREFIX, Comparison.SUFFIX}:
        return {"name": condition.name, str(condition.by): condition.value}
    return {"name": condition.name, "regex": _pattern(condition)}


def _pattern(condition: Condition) -> str:
    if condition.by is Comparison.EXACT:
        return re.escape(condition.value)
    return str(value_match(condition.by, condition.value)["value"])


def _looks(rule: Json) -> str:
    """Return what Contour knows a route by: its conditions, in whatever order."""
    matches = list(rule.get("matches") or ())
    if not any(path in it for it in matches for path in _PATHS):
        matches.append({"prefix": "/"})
    return " ".join(sorted(digest(it, _DIGITS) for it in matches))


def _written(variant: Variant, staying: Splits, space: str) -> Put:
    scale = scale_of(variant.rule)
    refs = [
        new
        for ref in refs_of(variant.rule)
        for new in _split_ref(ref, scale, variant, staying, space)
    ]
    mirrors = [
        mirror
        for split in staying.values()
        if (mirror := _mirror(variant, split, space)) is not None
    ]
    rule = _as_rule(_as_route({**variant.rule, "backendRefs": [*refs, *mirrors]}))
    return Put(rule=rule, parts=frozenset(map(_mirror_digest, mirrors)))


def _split_ref(ref: Json, scale: int, variant: Variant, staying: Splits, space: str) -> list[Json]:
    if ref.get("kind") == _MIRROR:
        return [ref]
    split = split_of(ref, staying, space)
    units = part(weight_of(ref), scale, shared=split is not None)
    if split is None:
        return [{**ref, "weight": units}]
    stable_s, canary_s = shared_out(units, variant.shares[split.stable])
    return [{**ref, "weight": stable_s}, {**ref, "name": split.canary, "weight": canary_s}]


def _mirror(variant: Variant, split: TargetSplit, space: str) -> Json | None:
    """Return the mirror by which the canary gets a copy of the stable's requests, if it does."""
    rule, share = variant.rule, split.traffic.mirror
    if not share or variant.shares.get(split.stable, FULL) == FULL:
        return None
    if any(ref.get("kind") == _MIRROR for ref in refs_of(rule)):
        raise UnsaidError(
            f"a route to {split.stable} has a mirror already, and an HTTPProxy has one in each; "
            "take it out, or do without mirror in the Canary"
        )
    backends = [ref for ref in refs_of(rule) if weight_of(ref)]
    if any(not is_service(ref, split.stable, space) for ref in backends):
        raise UnsaidError(
            f"a route leads to other backends beside {split.stable}, and an HTTPProxy copies the "
            "requests to all of them; give the Service a route of its own, or do without mirror"
        )
    if not backends:
        return None
    rest = {key: it for key, it in backends[0].items() if key not in {"weight", COUNTS}}
    part_of_them = {_SHARE: share} if share < FULL else {}
    return {
        **rest,
        "name": split.canary,
        "mirror": True,
        "kind": _MIRROR,
        **part_of_them,
        COUNTS: 0,
    }


# --- what is ours -------------------------------------------------------------------------------


def _mirror_digest(ref: Json) -> str:
    return digest(_as_service(ref), _DIGITS)


def _without_mirrors(rule: Json, parts: set[str]) -> Json:
    """Return a rule without the mirrors that the mark remembers, the last of each."""
    refs: list[Json] = []
    seen: set[str] = set()
    for ref in reversed(refs_of(rule)):
        ours = ref.get("kind") == _MIRROR and _mirror_digest(ref)
        if ours and ours in parts and ours not in seen:
            seen.add(ours)
        else:
            refs.insert(0, ref)
    return {**rule, "backendRefs": refs}
