"""What takes the place of a team's rule: one for each kind of requests, in words of no kind.

Requests that match, or that carry a cookie, have a rule in front of the team's own: it says the
same, and matches what both ask for.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from canary.model.traffic import Affinity, Comparison, Condition, RequestMatch
from canary.model.values import FULL, Json
from canary.routes.http_parts import has_service
from canary.routes.mark import TargetSplit

Join = Callable[[Json, RequestMatch], Json | None]
"""A match of a kind for what both let in, None where that is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A rule as it is to be, and the digests of what was put into it beside weights."""

    rule: Json
    parts: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A rule for some of the requests of one that the team wrote.

    `shares` are the canaries' by their stable, in percent, `drawn` whose users get a cookie here.
    """

    rule: Json
    shares: Mapping[str, int]
    drawn: tuple[TargetSplit, ...] = ()

    def only(
        self, match: Iterable[RequestMatch], stable: str, share: int, joined: Join
    ) -> tuple["Variant", ...]:
        """Return the variant for those of its requests that match, if there can be any."""
        found = [
            both
            for theirs in self.rule.get("matches") or [{}]
            for ours in match
            if (both := joined(theirs, ours)) is not None
        ]
        if not found:
            return ()
        shares = {**self.shares, stable: share}
        return (replace(self, rule={**self.rule, "matches": found}, shares=shares),)


def variants_of(
    rule: Json, splits: Iterable[TargetSplit], space: str, joined: Join
) -> list[Variant]:
    """Return the rules that take the place of one, in their order; its own is the last.

    Args:
        rule: the team's.
        splits: those that it may be about.
        space: the route's namespace.
        joined: returns a match of its kind for what both let in, None where that is nothing.

    Raises:
        UnsaidError: the kind cannot say it.

    """
    mine = [split for split in splits if has_service(rule, split.stable, space)]
    found = [Variant(rule=rule, shares={split.stable: split.weight for split in mine})]
    for split in mine:
        found = [new for one in found for new in _by_match(one, split, joined)]
    for split in mine:
        found = [new for one in found for new in _by_cookie(one, split, joined)]
    return found


def _by_match(variant: Variant, split: TargetSplit, joined: Join) -> tuple[Variant, ...]:
    traffic = split.traffic
    if not (traffic.match and traffic.weight):
        return (variant,)
    return (*variant.only(traffic.match, split.stable, traffic.weight, joined), variant)


def _by_cookie(variant: Variant, split: TargetSplit, joined: Join) -> tuple[Variant, ...]:
    """Keep who has met a version with it; where the stable has all, there is nobody to keep."""
    affinity = split.traffic.affinity
    if affinity is None or not affinity.value or not variant.shares[split.stable]:
        return (variant,)
    carries = _carries(affinity.cookie, affinity.value)
    kept = variant.only((carries,), split.stable, FULL, joined)
    if affinity.primary_cookie:
        carries = _carries(affinity.primary_cookie, affinity.value)
        kept = (*kept, *variant.only((carries,), split.stable, 0, joined))
    return (*kept, replace(variant, drawn=(*variant.drawn, split)))


def _carries(cookie: str, value: str) -> RequestMatch:
    pattern = rf"(.*;\s*)?{re.escape(cookie)}={re.escape(value)}(;.*)?"
    return RequestMatch(headers=(Condition(name="cookie", by=Comparison.REGEX, value=pattern),))


def cookies_of(split: TargetSplit) -> tuple[Json, Json]:
    """Return the headers that keep a user with the canary and with the stable, {} for none."""
    affinity = split.traffic.affinity
    if affinity is None:
        return {}, {}
    kept = _set_cookie(affinity.cookie, affinity, affinity.max_age)
    if not affinity.primary_cookie:
        return kept, {}
    return kept, _set_cookie(affinity.primary_cookie, affinity, affinity.primary_max_age)


def _set_cookie(name: str, affinity: Affinity, max_age: timedelta) -> Json:
    said = [
        f"{name}={affinity.value}",
        f"Max-Age={int(max_age.total_seconds())}",
        affinity.domain and f"Domain={affinity.domain}",
        affinity.path and f"Path={affinity.path}",
        "HttpOnly" if affinity.http_only else "",
        "Secure" if affinity.secure else "",
        f"SameSite={affinity.same_site}" if affinity.same_site else "",
        "Partitioned" if affinity.partitioned else "",
    ]
    return {"name": "Set-Cookie", "value": "; ".join(one for one in said if one)}
