"""IngressRoutes and TraefikServices of Traefik.

Both are lists of services with weights, of which one that is absent is 1. Traefik drops a whole
route where one of its services has no endpoints, unless it runs with `allowEmptyServices`: so a
canary that is to have nothing stands in no list, as with Flagger. Which route a request takes is
said by their priority, not by their order: the length of the match, where none is given.
"""

import json
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final

from canary.model.traffic import Comparison, Condition, RequestMatch
from canary.model.values import Json
from canary.routes.http_added import Bared, without_ours
from canary.routes.http_kept import Splits, by, split_of
from canary.routes.http_matches import UnsaidError, value_match
from canary.routes.http_parts import (
    MOST,
    has_service,
    part,
    refs_of,
    scale_of,
    shared_out,
    weight_of,
)
from canary.routes.mark import Mark, TargetSplit
from canary.routes.ruled import RuledRoutes, put_each
from canary.routes.variants import Put, Variant

_FIRST: Final = "v3"
"""The syntax of rules that is spoken here, in Traefik's words; also where none is said."""
_MOST_PRIORITY: Final = 2**63 - 1 - 1000
"""The largest priority that Traefik leaves to routes of users."""


class _Balanced(RuledRoutes):
    """What both kinds have in common."""

    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Take out routes of ours."""
        return Bared(rules=without_ours(rules, mark, space), percent=True)

    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Put in shares, and routes for what matches; nothing for a canary that has nothing."""
        del percent
        first = by(lambda split: split.stable, splits)
        some = {
            name: split
            for name, split in splits.items()
            if first[split.stable] is split and not split.traffic.is_nothing
        }

        def one(rule: Json, staying: Splits) -> list[Put]:
            in_order = [split for _, split in sorted(staying.items(), key=itemgetter(0))]
            mine = [split for split in in_order if has_service(rule, split.stable, space)]
            for split in mine:
                self.refuse(split)
            found = [Variant(rule=rule, shares={split.stable: split.weight for split in mine})]
            for split in mine:
                found = [new for it in found for new in self.variants(it, split, plain)]
            return [_written(variant, staying, space) for variant in found]

        return put_each(plain, some, space, one)

    def barred(self, rules: list[Json], split: TargetSplit, space: str) -> str:
        """Say that a list has weights that cannot be shared any finer."""
        found = [
            weight_of(ref)
            for rule in rules
            if has_service(rule, split.stable, space)
            for ref in refs_of(rule)
        ]
        if max(found, default=0) <= MOST:
            return ""
        return f"it has weights above {MOST}, which cannot be shared; write smaller ones"

    def accepted(self, route: Json) -> bool:
        """Return False: Traefik says nowhere what it has taken, so that a while is waited for."""
        del route
        return False

    def refuse(self, split: TargetSplit) -> None:
        """Refuse what neither kind can carry.

        Raises:
            UnsaidError: the split asks for it.

        """
        if split.traffic.mirror:
            raise UnsaidError(
                f"{self.kind}s copy no requests to the canary of {split.stable}; do without mirror "
                "in the Canary, or lead to the Service by an HTTPRoute"
            )
        if split.traffic.affinity is not None:
            raise UnsaidError(
                f"{self.kind}s keep no user of {split.stable} with a version by a cookie of ours; "
                "take sessionAffinity out of the Canary's analysis, or lead to the Service by an "
                "HTTPRoute of another gateway"
            )

    @abstractmethod
    def variants(
        self, variant: Variant, split: TargetSplit, plain: list[Json]
    ) -> Iterable[Variant]:
        """Return what takes the place of a route for one split, its own the last.

        Args:
            variant: the route.
            split: a target's.
            plain: all routes as the team wrote them.

        Raises:
            UnsaidError: the kind cannot say it.

        """


class IngressRoutes(_Balanced):
    """The dialect of IngressRoutes. See `canary.routes.dialect.Dialect`."""

    kind = "IngressRoute"

    def read(self, route: Json) -> list[Json]:
        """Return its routes as rules."""
        return [_as_rule(it) for it in route["spec"].get("routes") or ()]

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with these rules as its routes."""
        return {**spec, "routes": [_as_route(it) for it in rules]} if spec.get("routes") else spec

    def variants(
        self, variant: Variant, split: TargetSplit, plain: list[Json]
    ) -> Iterable[Variant]:
        """Return a route for what matches, ahead of the team's by its priority."""
        traffic = split.traffic
        if not (traffic.match and traffic.weight):
            return (variant,)
        shares = {**variant.shares, split.stable: traffic.weight}
        if not all(match.headers or match.params for match in traffic.match):
            return (replace(variant, shares=shares),)  # any request matches
        narrowed = _narrowed(variant.rule, traffic.match, plain)
        return (replace(variant, rule=narrowed, shares=shares), variant)


class TraefikServices(_Balanced):
    """The dialect of TraefikServices: those that share by weights, as Flagger has them."""

    kind = "TraefikService"

    def read(self, route: Json) -> list[Json]:
        """Return its services as the only rule; of several ways it counts the first alone."""
        spec = route["spec"]
        if (weighted := spec.get(_WEIGHTED)) is not None:
            return [_as_rule(weighted)]
        for way, found in _OTHER_WAYS.items():
            if (said := spec.get(way)) is not None:
                return [{_WAY: way, "backendRefs": [it for it in found(said) if it]}]
        return []

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with the services of the rule."""
        if not (spec.get(_WEIGHTED) or {}).get(_SERVICES):
            return spec
        return {**spec, _WEIGHTED: _as_route(rules[0])}

    def barred(self, rules: list[Json], split: TargetSplit, space: str) -> str:
        """Say that a Service is led to in a way that has no shares of requests."""
        for rule in rules:
            if _WAY in rule and has_service(rule, split.stable, space):
                return (
                    f"its {rule[_WAY]} leads to {split.stable} and has no share of the requests "
                    f"for a canary; let it lead to a TraefikService with {_WEIGHTED} services, and "
                    "that one to the Service"
                )
        return super().barred(rules, split, space)

    def variants(
        self, variant: Variant, split: TargetSplit, plain: list[Json]
    ) -> Iterable[Variant]:
        """Return the only one there is: a TraefikService sees no request's headers."""
        del plain
        if split.traffic.match:
            raise UnsaidError(
                f"a TraefikService tells no requests to {split.stable} from others; take match out "
                "of the Canary's analysis, or let an IngressRoute lead to the Service itself"
            )
        return (variant,)


# --- between their words and the arithmetic's ---------------------------------------------------

_SERVICES: Final = "services"
_WEIGHTED: Final = "weighted"
_WAY: Final = "=way"
"""Says of a rule in which other way than by weights it leads to its services."""
_OTHER_WAYS: Final[dict[str, Any]] = {
    "mirroring": lambda said: [said],
    "highestRandomWeight": lambda said: said.get(_SERVICES) or (),
    "failover": lambda said: [said.get("service"), said.get("fallback")],
}
"""The services that have requests of users by each of them; in the order in which they count."""


def _as_rule(route: Json) -> Json:
    rest = {key: it for key, it in route.items() if key not in {_SERVICES, "match"}}
    if "match" in route:
        rest["matches"] = route["match"]
    return {**rest, "backendRefs": route[_SERVICES]} if _SERVICES in route else rest


def _as_route(rule: Json) -> Json:
    rest = {key: it for key, it in rule.items() if key not in {"backendRefs", "matches"}}
    if "matches" in rule:
        rest["match"] = rule["matches"]
    return {**rest, _SERVICES: rule["backendRefs"]} if "backendRefs" in rule else rest


# --- matches ------------------------------------------------------------------------------------


def _narrowed(rule: Json, match: Iterable[RequestMatch], plain: list[Json]) -> Json:
    """Return a rule for those of its requests that match as well.

    It comes right ahead of the rule. The team's own of that very priority came ahead of the rule
    before, so that their requests are left to them.
    """
    if rule.get("syntax", _FIRST) != _FIRST:
        raise UnsaidError(
            f"a route has the syntax {rule['syntax']}, and only that of Traefik 3 can be joined "
            "with a match; write its match in that one, or do without match in the Canary"
        )
    if not rule.get("matches"):  # admission comes before the schema, which asks for it
        raise UnsaidError("a route has no match, which Traefik does not follow; give it one")
    priority = _priority(rule) + 1
    if priority > _MOST_PRIORITY:
        raise UnsaidError("a route has the highest priority that there is; give it a lower one")
    ours = " || ".join(_all_of(it) for it in match)
    told = [it["matches"] for it in plain if it.get("matches") and _priority(it) == priority]
    theirs = [f"!({it})" for it in told]
    said = " && ".join([f"({rule['matches']})", f"({ours})", *theirs])
    return {**rule, "matches": said, "priority": priority}


def _priority(rule: Json) -> int:
    return rule.get("priority") or len(str(rule.get("matches", "")).encode())


def _all_of(match: RequestMatch) -> str:
    tests = [_test("Header", it) for it in match.headers]
    tests += [_test("Query", it) for it in match.params]
    return f"({' && '.join(tests)})"


def _test(what: str, condition: Condition) -> str:
    """Return a test of one value: Traefik's patterns need not fit the whole, ours have to."""
    name, value = _quoted(condition.name), condition.value
    if condition.by is Comparison.EXACT:
        return f"{what}({name}, {_quoted(value)})"
    pattern = value_match(condition.by, value)["value"]
    return f"{what}Regexp({name}, {_quoted(f'^(?:{pattern})$')})"


def _quoted(text: str) -> str:
    """Write a string of Go."""
    raw = not any(it in text for it in "`\r")
    return f"`{text}`" if raw else json.dumps(text, ensure_ascii=False)


# --- what a variant is written as ---------------------------------------------------------------


def _written(variant: Variant, staying: Splits, space: str) -> Put:
    """Return a rule with its shares; one in which no canary has any is the team's own text."""
    rule, scale = variant.rule, scale_of(variant.rule)
    refs = [new for ref in refs_of(rule) for new in _split_ref(ref, scale, variant, staying, space)]
    has_canary = any(variant.shares.values())
    return Put(rule={**rule, "backendRefs": refs} if has_canary else rule, parts=frozenset())


def _split_ref(ref: Json, scale: int, variant: Variant, staying: Splits, space: str) -> list[Json]:
    split = split_of(ref, staying, space)
    share = 0 if split is None else variant.shares[split.stable]
    units = part(weight_of(ref), scale, shared=bool(share))
    if split is None or not share:
        return [{**ref, "weight": units}]
    stable_s, canary_s = shared_out(units, share)
    return [{**ref, "weight": stable_s}, {**ref, "name": split.canary, "weight": canary_s}]
