"""Kinds of routes that are a list of rules with weighted backends: what is the same for all.

A rule's weights are whole numbers. Where a rule leads to a target that is split, all its weights
are multiplied by one scale, however many of its targets are, and each stable's part is shared with
its canary, which stands right behind it. That part is the same at every step, so a part that is
another one was written by somebody else. A rule without a canary in it is the team's own text.

A kind reads its rules as those of an HTTPRoute (`matches`, `backendRefs`) and writes them back in
its own words; what it can carry beside a share it puts in itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter

from canary.model.traffic import NOTHING, Traffic
from canary.model.values import FULL, Json
from canary.routes.dialect import Word, Written
from canary.routes.http_added import Bared, noted
from canary.routes.http_kept import Splits, by, is_shared, kept_of, plain_rules, put_in
from canary.routes.http_matches import UnsaidError
from canary.routes.http_parts import (
    SCALE,
    has_service,
    is_service,
    refs_of,
    scale_of,
    space_of,
    weight_of,
)
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of
from canary.routes.variants import Put


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried:
    """A route under its mark, and why it carries nothing of some targets: what to say to a team."""

    written: Written
    left_out: Mapping[str, str] = field(default_factory=dict)


class RuledRoutes(ABC):
    """The dialect of such a kind. See `canary.routes.dialect.Dialect`."""

    kind: str

    @abstractmethod
    def read(self, route: Json) -> list[Json]:
        """Return the rules of a route."""

    @abstractmethod
    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return a spec with other rules; one that has none stays without."""

    @abstractmethod
    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Take out all that the mark remembers beside weights."""

    @abstractmethod
    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Return all rules of a route, each with whether it was put in front of a team's.

        Args:
            plain: the rules as the team wrote them.
            splits: all splits, by their target.
            space: the route's namespace.
            percent: whether the cluster knows a mirror of less than all requests.

        Raises:
            UnsaidError: the kind cannot say it.

        """

    @abstractmethod
    def accepted(self, route: Json) -> bool:
        """Tell whether every gateway has taken the route as it is stored."""

    def lag(self, route: Json) -> str:
        """Return "": most kinds say nowhere which generation a gateway has seen."""
        del route
        return ""

    def word(self, route: Json) -> Word:
        """Return nothing: most kinds say nowhere what becomes of them."""
        del route
        return Word()

    def counted(self, rules: list[Json]) -> list[Json]:
        """Return the rules with what their weights count for, where the kind has its own way."""
        return rules

    def barred(self, rules: list[Json], split: TargetSplit, space: str) -> str:
        """Say why a canary can have no request at all by a route, "" where it can."""
        del rules, split, space
        return ""

    def unsplit(self, route: Json, split: TargetSplit) -> str:
        """Say of which requests for a stable a route says nothing that can be split, "" of none."""
        del route, split
        return ""

    def too_much(self, rules: list[Json]) -> str:
        """Say what there is more of than the kind takes, "" where it takes all of it."""
        del rules
        return ""

    def leads_to(self, route: Json, service: str) -> bool:
        """Tell whether any rule names the Service."""
        space = space_of(route)
        return any(has_service(rule, service, space) for rule in self.read(route))

    def with_traffic(self, route: Json, mark: Mark) -> Written:
        """Return the rules with each canary beside its stable, and what they were before."""
        return self._carried(route, mark).written

    def without_traffic(self, route: Json, mark: Mark) -> Json:
        """Return the spec without any canary of the mark."""
        space = space_of(route)
        bare = self.bare(self.read(route), mark, space)
        return self.write(route["spec"], plain_rules(bare.rules, mark, space))

    def refused(self, route: Json, mark: Mark) -> Mapping[str, str]:
        """Say by target what a route cannot carry of a mark, and why."""
        return self._carried(route, mark).left_out

    def carried(self, route: Json, split: TargetSplit) -> frozenset[Traffic]:
        """Return the share in each rule that has traffic for stable or canary.

        More than a share is told where the rules are what the mark makes of them.
        """
        space, mark = space_of(route), mark_of(route) or NO_MARK
        mine = {split.canary: split}
        rules = self.read(route)
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
        now = self._carried(route, mark)
        whole = marked[0] not in now.left_out and now.written.spec == route["spec"]
        return frozenset({marked[1].traffic}) if whole else shares

    def companions(self, route: Json, mark: Mark) -> tuple[Json, ...]:
        """Return nothing: the backends stand in the route itself."""
        del route, mark
        return ()

    def _carried(self, route: Json, mark: Mark) -> _Carried:
        """Return a route under a mark.

        What the kind cannot say of a target, or has no room for, is left out: the target's stable
        has all of its traffic then, and the API server refuses nobody's write for it.
        """
        space = space_of(route)
        bare = self.bare(self.read(route), mark, space)
        plain = self.counted(plain_rules(bare.rules, mark, space))
        asked = mark.in_rules
        left_out = {
            name: why
            for name, split in asked.items()
            if not split.traffic.is_nothing
            and (why := self.barred(plain, split, space) or self.unsplit(route, split))
        }
        may = {
            name: replace(split, traffic=NOTHING) if name in left_out else split
            for name, split in asked.items()
        }
        fits = {name: split for name, split in may.items() if split.traffic.is_a_share}
        rules = self.put(plain, fits, space, percent=bare.percent)
        for name, split in sorted(may.items(), key=itemgetter(0)):
            if name in fits:
                continue
            fits[name] = split
            try:
                more = self.put(plain, fits, space, percent=bare.percent)
                why = self.too_much([put.rule for put, _ in more])
            except UnsaidError as unsaid:
                more, why = [], str(unsaid)
            if why:
                left_out[name] = why
                fits[name] = replace(split, traffic=NOTHING)
                more = self.put(plain, fits, space, percent=bare.percent)
            rules = more
        spec = self.write(route["spec"], [put.rule for put, _ in rules])
        staying = by(lambda split: split.stable, asked)
        shared = [rule for rule in plain if is_shared(rule, staying, space)]
        settled = Mark(
            splits=mark.staying,
            kept=tuple(map(kept_of, shared)),
            added=noted(rules),
            faults=mark.faults,
        )
        in_elder_form = mark.elder and len(mark.splits) == 1 and not settled.added
        if in_elder_form and all(scale_of(rule) == SCALE for rule in shared):
            settled = replace(settled, kept=(), elder=mark.elder)
        return _Carried(written=Written(spec=spec, mark=settled), left_out=left_out)


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


def put_each(
    plain: list[Json], splits: Splits, space: str, one: Callable[[Json, Splits], list[Put]]
) -> list[tuple[Put, bool]]:
    """Return all rules of a route, each with whether it was put in front of a team's.

    Args:
        plain: the rules as the team wrote them.
        splits: all splits, by their target.
        space: the route's namespace.
        one: returns what takes the place of a rule that leads to a stable, its own the last; it is
            given the splits by their stable.

    Raises:
        UnsaidError: the kind cannot say it.

    """
    staying = by(lambda split: split.stable, splits)
    found: list[tuple[Put, bool]] = []
    for rule in plain:
        if not is_shared(rule, staying, space):
            found.append((Put(rule=rule, parts=frozenset()), False))
            continue
        puts = one(rule, staying)
        found += [(put, at < len(puts) - 1) for at, put in enumerate(puts)]
    return found
