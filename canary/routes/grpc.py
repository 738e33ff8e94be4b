"""GRPCRoutes of the Gateway API: shares of the requests, and nothing else."""

from collections.abc import Mapping

from canary.model.values import Json
from canary.routes.dialect import Word
from canary.routes.http_added import Bared, written
from canary.routes.http_kept import Splits
from canary.routes.http_matches import UnsaidError
from canary.routes.http_parts import (
    has_service,
    rules_of,
    space_of,
    with_names,
    with_rules,
    without_names,
)
from canary.routes.mark import Mark, TargetSplit
from canary.routes.parents import is_seen, lag_of, unheeded_by, unsplit_rules, word_of
from canary.routes.ruled import RuledRoutes, put_each
from canary.routes.variants import Put, Variant


class GrpcRoutes(RuledRoutes):
    """The dialect of GRPCRoutes. See `canary.routes.dialect.Dialect`."""

    kind = "GRPCRoute"

    def read(self, route: Json) -> list[Json]:
        """Return the rules, in which backends of other namespaces are called by these."""
        return [with_names(rule, space_of(route)) for rule in rules_of(route)]

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with these rules."""
        return with_rules(spec, [without_names(rule) for rule in rules])

    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Return the rules: there is nothing of ours in them but weights."""
        del mark, space
        return Bared(rules=rules, percent=True)

    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Put in shares."""

        def one(rule: Json, staying: Splits) -> list[Put]:
            mine = [split for split in staying.values() if has_service(rule, split.stable, space)]
            for split in sorted(mine, key=lambda it: it.stable):
                _refuse_more(split)
            shared = Variant(rule=rule, shares={split.stable: split.weight for split in mine})
            return [written(shared, staying, space, percent=percent)]

        return put_each(plain, splits, space, one)

    def unsplit(self, route: Json, split: TargetSplit) -> str:
        """Say that a mesh has requests for the stable by a rule without backends."""
        return unsplit_rules(route, split)

    def refused(self, route: Json, mark: Mark) -> Mapping[str, str]:
        """Say by target what a route cannot carry, or what a mesh does not follow it for."""
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


def _refuse_more(split: TargetSplit) -> None:
    traffic = split.traffic
    asked = (
        ("match", bool(traffic.match)),
        ("mirror", bool(traffic.mirror)),
        ("sessionAffinity", traffic.affinity is not None),
    )
    said = " and ".join(name for name, there in asked if there)
    if said:
        raise UnsaidError(
            f"a GRPCRoute gives the canary a share of the requests to {split.stable} and nothing "
            f"else; take {said} out of the Canary's analysis, or lead to {split.stable} by an "
            "HTTPRoute"
        )
