"""VirtualServices of Istio: HTTP routes with all that there is, TCP and TLS routes with shares.

Of its rules the first that matches counts, so that what is put in front of a team's rule takes its
requests. A canary's destination has no subset: those of the stable's DestinationRule are of its own
pods, and the canary's Service has no others than the canary's.
"""

from operator import itemgetter
from typing import Final

from canary.model.traffic import RequestMatch
from canary.model.values import FULL, Json
from canary.routes.http_added import Bared, without_ours
from canary.routes.http_kept import Splits, split_of
from canary.routes.http_matches import UnsaidError, lowered, value_match
from canary.routes.http_parts import (
    SUBSET,
    digest,
    has_service,
    is_service,
    of_canary,
    part,
    refs_of,
    scale_of,
    shared_out,
    weight_of,
)
from canary.routes.istio_parts import HTTP, counted, destination_of, list_of, rules_in, with_rules
from canary.routes.mark import Mark, TargetSplit
from canary.routes.ruled import RuledRoutes, put_each
from canary.routes.variants import Put, Variant, cookies_of, variants_of

_DIGITS: Final = 16


class VirtualServices(RuledRoutes):
    """The dialect of VirtualServices. See `canary.routes.dialect.Dialect`."""

    kind = "VirtualService"

    def read(self, route: Json) -> list[Json]:
        """Return the routes of all its lists as rules."""
        return rules_in(route["spec"])

    def write(self, spec: Json, rules: list[Json]) -> Json:
        """Return the spec with these rules as its routes."""
        return with_rules(spec, rules)

    def counted(self, rules: list[Json]) -> list[Json]:
        """Return the rules with what their weights count for."""
        return [counted(rule) for rule in rules]

    def bare(self, rules: list[Json], mark: Mark, space: str) -> Bared:
        """Take out rules, mirrors and headers of ours."""
        return Bared(rules=without_ours(rules, mark, space, _without_parts), percent=True)

    def put(
        self, plain: list[Json], splits: Splits, space: str, *, percent: bool
    ) -> list[tuple[Put, bool]]:
        """Put in shares, and rules, mirrors and headers."""
        del percent

        def one(rule: Json, staying: Splits) -> list[Put]:
            in_order = [split for _, split in sorted(staying.items(), key=itemgetter(0))]
            if list_of(rule) != HTTP:
                for split in in_order:
                    _refuse_more(rule, split, space)
            variants = variants_of(rule, in_order, space, _both)
            return [_written(variant, staying, space) for variant in variants]

        return put_each(plain, splits, space, one)

    def barred(self, rules: list[Json], split: TargetSplit, space: str) -> str:
        """Say that a Service is led to by several subsets: one of them is the target's."""
        found = {
            str(ref[SUBSET])
            for rule in rules
            for ref in refs_of(rule)
            if is_service(ref, split.stable, space) and SUBSET in ref
        }
        if len(found) < _SEVERAL:
            return ""
        return (
            f"it leads to {split.stable} by the subsets {', '.join(sorted(found))}, and which of "
            "them are the target's pods is not known; give each Deployment a Service of its own"
        )

    def accepted(self, route: Json) -> bool:
        """Return False: nothing says when the proxies have it, so that a while is waited for."""
        del route
        return False


_SEVERAL: Final = 2


def _refuse_more(rule: Json, split: TargetSplit, space: str) -> None:
    traffic = split.traffic
    if not has_service(rule, split.stable, space) or traffic.is_a_share:
        return
    asked = (
        ("match", bool(traffic.match)),
        ("mirror", bool(traffic.mirror)),
        ("sessionAffinity", traffic.affinity is not None),
    )
    said = " and ".join(name for name, there in asked if there)
    raise UnsaidError(
        f"a {list_of(rule)} route of a VirtualService gives the canary a share of the connections "
        f"to {split.stable} and nothing else; take {said} out of the Canary's analysis, or lead "
        "to it by an http route"
    )


# --- matches ------------------------------------------------------------------------------------


def _both(theirs: Json, ours: RequestMatch) -> Json | None:
    """Return a match of what both let in, None where that is nothing."""
    found = dict(theirs)
    for which, conditions in (("headers", ours.headers), ("queryParams", ours.params)):
        spelled = lowered if which == "headers" else str
        tests = dict(theirs.get(which) or {})
        for condition in conditions:
            said = value_match(condition.by, condition.value)
            test = {"exact" if said["type"] == "Exact" else "regex": said["value"]}
            name = next((it for it in tests if spelled(it) == spelled(condition.name)), "")
            if not tests.get(name):  # an empty test asks for nothing but that there is one
                tests[name or spelled(condition.name)] = test
            elif not _agree(tests[name], test, condition.name):
                return None
        if conditions:
            found[which] = tests
    return found


def _agree(theirs: Json, ours: Json, name: str) -> bool:
    """Tell whether one test of a name can stand for both; False where no value passes both."""
    if theirs == ours:
        return True
    if "exact" in theirs and "exact" in ours:
        return False
    raise UnsaidError(
        f"a rule matches {name} already, and a VirtualService tests each header or parameter once; "
        "match another one in the Canary's analysis or in the route"
    )


# --- what a variant is written as ---------------------------------------------------------------


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
    rule = {**variant.rule, "backendRefs": refs}
    if mirrors:
        rule["mirrors"] = [*(rule.get("mirrors") or ()), *mirrors]
    headers = [it for split in variant.drawn for it in cookies_of(split) if it]
    parts = {*map(_mirror_digest, mirrors), *map(_header_digest, headers)}
    return Put(rule=counted(rule), parts=frozenset(parts))


def _split_ref(ref: Json, scale: int, variant: Variant, staying: Splits, space: str) -> list[Json]:
    split = split_of(ref, staying, space)
    units = part(weight_of(ref), scale, shared=split is not None)
    if split is None:
        return [{**ref, "weight": units}]
    stable_s, canary_s = shared_out(units, variant.shares[split.stable])
    stable = {**ref, "weight": stable_s}
    canary = {**of_canary(ref), "name": split.canary, "weight": canary_s}
    if split not in variant.drawn:
        return [stable, canary]
    of_canary_s, of_stable_s = cookies_of(split)
    return [_with_header(stable, of_stable_s), _with_header(canary, of_canary_s)]


def _with_header(ref: Json, header: Json) -> Json:
    """Return a destination whose answers have one header more."""
    if not header:
        return ref
    headers = ref.get("headers") or {}
    response = headers.get("response") or {}
    added = response.get("add") or {}
    changed = [*added, *(response.get("set") or ()), *(response.get("remove") or ())]
    if any(lowered(it) == lowered(header["name"]) for it in changed):
        raise UnsaidError(
            f"destination {ref['name']} changes the header {header['name']} already, and a "
            "VirtualService adds each once; take it out, or take sessionAffinity out of the Canary"
        )
    more = {**response, "add": {**added, header["name"]: header["value"]}}
    return {**ref, "headers": {**headers, "response": more}}


def _mirror(variant: Variant, split: TargetSplit, space: str) -> Json | None:
    """Return the mirror by which the canary gets a copy of the stable's requests, if it does."""
    rule, share = variant.rule, split.traffic.mirror
    if not share or variant.shares.get(split.stable, FULL) == FULL:
        return None
    if rule.get("mirror"):
        raise UnsaidError(
            f"a rule that leads to {split.stable} has a mirror already, and a VirtualService has "
            "no second one beside `mirror`; write it as one of `mirrors`, or do without mirror in "
            "the Canary"
        )
    backends = [ref for ref in refs_of(rule) if weight_of(ref)]
    if any(not is_service(ref, split.stable, space) for ref in backends):
        raise UnsaidError(
            f"a rule leads to other destinations beside {split.stable}, and a VirtualService "
            "copies the requests to all of them; give the Service a rule of its own, or do without "
            "mirror"
        )
    if not backends:
        return None
    canary = {**of_canary(backends[0]), "name": split.canary}
    return {"destination": destination_of(canary), "percentage": {"value": share}}


# --- what is ours -------------------------------------------------------------------------------


def _header_digest(header: Json) -> str:
    return digest({"name": header["name"], "value": header["value"]}, _DIGITS)


def _mirror_digest(found: Json) -> str:
    """Return the digest of a mirror but for its share, which somebody may edit."""
    return digest({"mirror": found.get("destination")}, _DIGITS)


def _without_parts(rule: Json, parts: set[str]) -> Json:
    """Return a rule without what the mark remembers: of mirrors that are alike the last."""
    refs = [_without_headers(ref, parts) for ref in refs_of(rule)]
    mirrors: list[Json] = []
    seen: set[str] = set()
    for it in reversed(rule.get("mirrors") or ()):
        known = _mirror_digest(it)
        if known in parts and known not in seen:
            seen.add(known)
        else:
            mirrors.insert(0, it)
    bare = {**rule, "backendRefs": refs}
    if not seen:
        return bare
    rest = {key: it for key, it in bare.items() if key != "mirrors"}
    return {**rest, "mirrors": mirrors} if mirrors else rest


def _without_headers(ref: Json, parts: set[str]) -> Json:
    headers = ref.get("headers") or {}
    response = headers.get("response") or {}
    added = response.get("add") or {}
    left = {
        name: value
        for name, value in added.items()
        if _header_digest({"name": name, "value": value}) not in parts
    }
    if len(left) == len(added):
        return ref
    return _with(ref, "headers", _with(headers, "response", _with(response, "add", left)))


def _with(holder: Json, field: str, found: Json) -> Json:
    """Return an object with this in a field, or without the field where there is nothing."""
    rest = {key: it for key, it in holder.items() if key != field}
    return {**rest, field: found} if found else rest
