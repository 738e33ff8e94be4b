"""HTTPRoutes of the Gateway API, whose weights are at most a million.

What is more than a share is in `canary.routes.http_added`.
"""

from collections.abc import Mapping
from operator import itemgetter

from canary.model.values import Json
from canary.routes.dialect import Word
from canary.routes.http_added import Bared, bared, too_much, written
from canary.routes.http_kept import Splits
from canary.routes.http_matches import both
from canary.routes.http_parts import rules_of, space_of, with_names, with_rules, without_names
from canary.routes.mark import Mark, TargetSplit
from canary.routes.parents import is_seen, lag_of, unheeded_by, unsplit_rules, word_of
from canary.routes.ruled import RuledRoutes, put_each
from canary.routes.variants import Put, variants_of


class HttpRoutes(RuledRoutes):
    """The dialect of HTTPRoutes. See `canary.routes.dialect.Dialect`."""

    kind = "HTTPRoute"

    def read(self, route: Json) -> list[Json]:
        """Return the rules, in which backends of other namespaces are called by these."""
        return [with_names(rule, space_of(route)) for rule in rules_of(route)]

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with these rules."""
        return with_rules(spec, [without_names(rule) for rule in rules])

    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Take out rules, mirrors and headers of ours."""
        return bared(rules, mark, space)

    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Put in shares, and rules, mirrors and headers."""

        def one(rule: Json, staying: Splits) -> list[Put]:
            in_order = [split for _, split in sorted(staying.items(), key=itemgetter(0))]
            return [
                written(variant, staying, space, percent=percent)
                for variant in variants_of(rule, in_order, space, both)
            ]

        return put_each(plain, splits, space, one)

    def too_much(self, rules: list[Json]) -> str:
        """Say what is beyond the bounds of the API."""
        return too_much(rules)

    def unsplit(self, route: Json, split: TargetSplit) -> str:
        """Say that a mesh has requests for the stable by a rule without backends."""
        return unsplit_rules(route, split)

    def refused(self, route: Json, mark: Mark) -> Mapping[str, str]:
        """Say by target what a route cannot carry, or what its parents do not follow it for."""
        return {**unheeded_by(route, mark), **super().refused(route, mark)}

    def accepted(self, route: Json) -> bool:
        """Tell whether every parent has seen the stored generation."""
        return is_seen(route)

    def lag(self, route: Json) -> str:
        """Say which parent has seen an older generation, and not the stored one."""
        return lag_of(route)

    def word(self, route: Json) -> Word:
        """Return what its parents say of the stored generation."""
        return word_of(route)
