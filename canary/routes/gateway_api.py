"""HTTPRoutes of the Gateway API.

A rule's weights are whole numbers of at most a million. Where a rule leads to a target that is
split, all its weights are multiplied by one scale, however many of its targets are, and each
stable's part is shared with its canary, which stands right behind it. That part is the same at
every step, so a part that is another one was written by somebody else. A rule without a canary in
it is the team's own text. What is more than a share is in `canary.routes.http_added`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter

from canary.model.traffic import NOTHING, Traffic
from canary.model.values import FULL, Json
from canary.routes.dialect import Written
from canary.routes.http_added import (
    Put,
    bared,
    noted,
    too_much,
    variants_of,
    written,
)
from canary.routes.http_kept import Splits, by, is_shared, kept_of, plain_rules, put_in
from canary.routes.http_matches import UnsaidError
from canary.routes.http_parts import (
    SCALE,
    has_service,
    is_service,
    refs_of,
    rules_of,
    scale_of,
    space_of,
    weight_of,
    with_rules,
)
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried:
    """A route under its mark, and why it carries nothing of some targets: what to say to a team."""

    written: Written
    left_out: Mapping[str, str] = field(default_factory=dict)


class HttpRoutes:
    """The dialect of HTTPRoutes. See `canary.routes.dialect.Dialect`."""

    kind = "HTTPRoute"

    def leads_to(self, route: Json, service: str) -> bool:
        """Tell whether any rule names the Service."""
        space = space_of(route)
        return any(has_service(rule, service, space) for rule in rules_of(route))

    def with_traffic(self, route: Json, mark: Mark) -> Written:
        """Return the rules with each canary beside its stable, and what they were before."""
        return _carried(route, mark).written

    def without_traffic(self, route: Json, mark: Mark) -> Json:
        """Return the spec without any canary of the mark."""
        space = space_of(route)
        bare = bared(rules_of(route), mark, space)
        return with_rules(route["spec"], plain_rules(bare.rules, mark, space))

    def refused(self, route: Json, mark: Mark) -> Mapping[str, str]:
        """Say by target what a route cannot carry of a mark, and why."""
        return _carried(route, mark).left_out

    def carried(self, route: Json, split: TargetSplit) -> frozenset[Traffic]:
        """Return the share in each rule that has traffic for stable or canary.

        More than a share is told where the rules are what the mark makes of them.
        """
        space, mark = space_of(route), mark_of(route) or NO_MARK
        mine = {split.canary: split}
        rules = rules_of(route)
        ours = put_in(rules, mine, mark, space)
        found = (
            _share(rule, split, space)
            for rule, own in zip(rules, ours, strict=True)
            if own or not is_shared(rule, mine, space)
        )
        shares = frozenset(Traffic(share) for share in found if share is not None)
        marked = _entry(mark, split)
        if not shares or marked is None or marked[1].traffic.is_a_share:
            return shares
        now = _carried(route, mark)
        whole = marked[0] not in now.left_out and now.written.spec == route["spec"]
        return frozenset({marked[1].traffic}) if whole else shares

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


def _carried(route: Json, mark: Mark) -> _Carried:
    """Return a route under a mark.

    What an HTTPRoute cannot say of a target, or has no room for, is left out: the target's stable
    has all of its traffic then, and the API server refuses nobody's write for it.
    """
    space = space_of(route)
    bare = bared(rules_of(route), mark, space)
    plain = plain_rules(bare.rules, mark, space)
    asked = mark.staying
    fits = {name: split for name, split in asked.items() if split.traffic.is_a_share}
    rules = _put(plain, fits, space, percent=bare.percent)
    left_out = {}
    for name, split in sorted(asked.items(), key=itemgetter(0)):
        if name in fits:
            continue
        fits[name] = split
        try:
            more = _put(plain, fits, space, percent=bare.percent)
            why = too_much([put.rule for put, _ in more])
        except UnsaidError as unsaid:
            more, why = [], str(unsaid)
        if why:
            left_out[name] = why
            fits[name] = replace(split, traffic=NOTHING)
            more = _put(plain, fits, space, percent=bare.percent)
        rules = more
    spec = with_rules(route["spec"], [put.rule for put, _ in rules])
    staying = by(lambda split: split.stable, asked)
    shared = [rule for rule in plain if is_shared(rule, staying, space)]
    settled = Mark(splits=asked, kept=tuple(map(kept_of, shared)), added=noted(rules))
    in_elder_form = mark.elder and len(mark.splits) == 1 and not settled.added
    if in_elder_form and all(scale_of(rule) == SCALE for rule in shared):
        settled = replace(settled, kept=(), elder=mark.elder)
    return _Carried(written=Written(spec=spec, mark=settled), left_out=left_out)


def _put(plain: list[Json], splits: Splits, space: str, *, percent: bool) -> list[tuple[Put, bool]]:
    """Return all rules of a route, each with whether it was put in front of a team's.

    Raises:
        UnsaidError: an HTTPRoute cannot say it.

    """
    staying = by(lambda split: split.stable, splits)
    in_order = [split for _, split in sorted(staying.items(), key=itemgetter(0))]
    found = []
    for rule in plain:
        if not is_shared(rule, staying, space):
            found.append((Put(rule=rule, parts=frozenset()), False))
            continue
        variants = variants_of(rule, in_order, space)
        own = len(variants) - 1
        found += [
            (written(variant, staying, space, percent=percent), at < own)
            for at, variant in enumerate(variants)
        ]
    return found


# --- reading ------------------------------------------------------------------------------------


def _entry(mark: Mark, split: TargetSplit) -> tuple[str, TargetSplit] | None:
    """Return the target whose split of these Services counts on a route, with its entry."""
    by_stable = by(lambda it: it.stable, mark.staying)
    found = by_stable.get(split.stable)
    if found is None or found.canary != split.canary:
        return None
    return next((name, it) for name, it in sorted(mark.staying.items()) if it is found)


def _share(rule: Json, split: TargetSplit, space: str) -> int | None:
    """Return the canary's share in percent; None in a rule that has traffic for neither."""
    canary = sum(weight_of(ref) for ref in refs_of(rule) if is_service(ref, split.canary, space))
    stable = sum(weight_of(ref) for ref in refs_of(rule) if is_service(ref, split.stable, space))
    return round(FULL * canary / (canary + stable)) if canary + stable else None
