"""The laws of a dialect, over generated rules, for each kind of route."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.dialect import Dialect
from canary.routes.http_parts import MOST
from canary.routes.known import DIALECTS
from canary.routes.mark import Mark, load_mark, marked
from tests.unit.canary.routes.kinds import KINDS, Kind, every_kind
from tests.unit.canary.routes.rules import HTTP, SHARES, SPACE, WEIGHTS, mark, ref, route, split

Step = Callable[[Mark], Mark]


def dialect_of(written: Json) -> Dialect:
    return next(it for it in DIALECTS if it.kind == written["kind"])


def test_every_known_kind_keeps_these_laws() -> None:
    assert {it.dialect.kind for it in KINDS} == {it.kind for it in DIALECTS}


def carried(written: Json, asked: Mark) -> tuple[Json, Mark]:
    """Return a route after one write of the mark, with the mark as it is stored beside it."""
    before = deepcopy(written)
    found = dialect_of(written).with_traffic(written, asked)
    assert written == before, "a dialect changes no argument"
    stored = found.mark
    if found.mark.splits:
        read = load_mark(found.mark.dump())
        assert read is not None
        stored = read
    return {**written, "spec": deepcopy(found.spec)}, stored


def to(target: str, weight: int) -> Step:
    return lambda before: before.having(target, split(target, weight))


def out(target: str) -> Step:
    return lambda before: before.leaving(target)


def after(written: Json, *steps: Step, first: Mark | None = None) -> tuple[Json, Mark]:
    """Return a route after one write for each step, each on what the one before has stored."""
    now, standing = written, first or Mark()
    for step in steps:
        now, standing = carried(now, step(standing))
    return now, standing


@every_kind
@given(st.data(), SHARES)
def test_taking_out_what_was_put_in_is_identity(
    kind: Kind, data: st.DataObject, share: int
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, to("web", share))
    assert kind.dialect.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), first=standing) == (written, Mark())


OF_THE_GATEWAY_API = pytest.mark.parametrize(
    "kind",
    [it for it in KINDS if it.rules == "rules"],
    ids=lambda it: it.called or it.dialect.kind,
)
EVERYWHERE = st.sampled_from(["web", "other/web", "other/api"])


@OF_THE_GATEWAY_API
@given(st.data(), st.lists(st.tuples(EVERYWHERE, SHARES), max_size=5))
def test_the_team_s_text_comes_back_from_targets_of_other_namespaces(
    kind: Kind, data: st.DataObject, steps: list[tuple[str, int]]
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, *(to(*step) for step in steps))
    assert kind.dialect.without_traffic(now, standing) == written["spec"]
    leave = [out(it) for it in ("other/api", "web", "other/web")]
    assert after(now, *leave, first=standing) == (written, Mark())
    there = {name for name in dict(steps) if kind.dialect.leads_to(written, name)}
    latest = dict(steps)
    for name in there:
        found = kind.dialect.carried(marked(now, standing.dump()), split(name, 0))
        assert all(abs(it.weight - latest[name]) <= 1 for it in found)


@every_kind
@given(st.data(), st.lists(st.tuples(st.sampled_from(["web", "api"]), SHARES), max_size=5))
def test_whatever_the_steps_of_two_targets_the_team_s_text_comes_back(
    kind: Kind, data: st.DataObject, steps: list[tuple[str, int]]
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, *(to(*step) for step in steps))
    assert kind.dialect.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), out("api"), first=standing) == (written, Mark())


@every_kind
@given(st.data(), SHARES, SHARES)
def test_splits_of_two_targets_commute(
    kind: Kind, data: st.DataObject, one: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    web, api = to("web", one), to("api", other)
    assert after(written, web, api) == after(written, api, web)
    assert after(written, web, api, out("web")) == after(written, api)


@every_kind
@given(st.data(), SHARES, SHARES, SHARES)
def test_the_last_share_of_a_target_is_the_one_that_counts(
    kind: Kind, data: st.DataObject, first: int, last: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    direct = after(written, to("api", other), to("web", last))
    assert after(written, to("web", first), to("api", other), to("web", last)) == direct


@every_kind
@given(st.data(), SHARES, SHARES)
def test_applying_twice_is_applying_once(
    kind: Kind, data: st.DataObject, one: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    once = after(written, to("web", one), to("api", other))
    assert after(once[0], to("web", one), to("api", other), first=once[1]) == once


@every_kind
@given(st.data(), SHARES)
def test_a_target_s_split_is_nothing_to_rules_that_do_not_lead_to_it(
    kind: Kind, data: st.DataObject, share: int
) -> None:
    written = data.draw(kind.any_route)
    now, _ = after(written, to("web", share))
    for was, rule in zip(kind.rules_of(written), kind.rules_of(now), strict=True):
        if not kind.dialect.leads_to(kind.route(was), "web"):
            assert rule == was


# --- shares -------------------------------------------------------------------------------------


def parts(kind: Kind, rule: Json) -> dict[int, int]:
    """Return the weight of each backend of the team with its canary's, by the place in the rule."""
    found: dict[int, int] = {}
    for it, counts in zip(kind.refs_of(rule), kind.counts(rule), strict=True):
        if kind.name(it).endswith("-canary"):
            found[len(found) - 1] += counts
        else:
            found[len(found)] = counts
    return found


@every_kind
@given(st.data(), SHARES, SHARES)
def test_each_target_has_its_share_and_no_backend_another_one(
    kind: Kind, data: st.DataObject, one: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    now, _ = after(written, to("web", one), to("api", other))
    assert kind.dialect.carried(now, split("web", 0)) <= {Traffic(one)}
    assert kind.dialect.carried(now, split("api", 0)) <= {Traffic(other)}
    for was, rule in zip(kind.rules_of(written), kind.rules_of(now), strict=True):
        assert all(0 <= it <= kind.most for it in kind.counts(rule))
        before = kind.counts(was)
        if not sum(before):
            continue
        units = parts(kind, rule)
        for place, weight in enumerate(before):
            share = units[place] / sum(units.values())
            assert abs(share - weight / sum(before)) < 0.01
            assert (units[place] == 0) == (weight == 0)


@every_kind
@given(st.data())
def test_a_share_is_right_within_one_percent_at_every_weight(
    kind: Kind, data: st.DataObject
) -> None:
    written = data.draw(kind.any_route)
    for rule in kind.rules_of(written):
        single = kind.route(rule)
        if not kind.dialect.carried(single, split("web", 0)):
            continue  # it has no traffic for web
        for share in range(0, 101, 7):
            [now] = kind.rules_of(after(single, to("web", share))[0])
            counted = list(zip(kind.refs_of(now), kind.counts(now), strict=True))
            canary = sum(counts for it, counts in counted if kind.name(it) == "web-canary")
            stable = sum(counts for it, counts in counted if is_web(kind, it))
            assert abs(100 * canary / (canary + stable) - share) <= 1


def is_web(kind: Kind, it: Json) -> bool:
    return kind.dialect.leads_to(kind.single(it), "web")


# --- what the team changes in mid-run -------------------------------------------------------------


@every_kind
@given(st.data(), SHARES, SHARES)
def test_a_manifest_that_is_applied_in_mid_run_is_what_comes_back(
    kind: Kind, data: st.DataObject, one: int, other: int
) -> None:
    first = data.draw(kind.any_route)
    second = data.draw(kind.any_route)
    _, standing = after(first, to("web", one), to("api", other))
    now, standing = after(second, lambda mark: mark, first=standing)
    assert (now, standing) == after(second, to("web", one), to("api", other))
    assert after(now, out("api"), out("web"), first=standing) == (second, Mark())


@every_kind
@given(st.data(), st.integers(0, 4), SHARES, SHARES)
def test_a_rule_that_is_added_to_the_stored_route_stays_and_is_split(
    kind: Kind, data: st.DataObject, place: int, one: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    more = data.draw(kind.any_rule)
    now, standing = after(written, to("web", one), to("api", other))
    kind.rules_of(now).insert(place, deepcopy(more))
    expected = deepcopy(written)
    kind.rules_of(expected).insert(place, deepcopy(more))
    assert kind.dialect.without_traffic(now, standing) == expected["spec"]
    mended = after(now, lambda mark: mark, first=standing)
    assert mended == after(expected, to("web", one), to("api", other))


@every_kind
@given(st.data(), st.one_of(WEIGHTS, st.just(100)), SHARES, SHARES)
def test_a_weight_that_is_changed_in_the_stored_route_is_the_team_s_new_one(
    kind: Kind, data: st.DataObject, weight: int, one: int, other: int
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, to("web", one), to("api", other))
    places = [
        (index, number)
        for index, rule in enumerate(kind.rules_of(now))
        for number, it in enumerate(kind.refs_of(rule))
        if not kind.name(it).endswith("-canary")
    ]
    assume(places)
    index, number = data.draw(st.sampled_from(places))
    rule = kind.rules_of(now)[index]
    refs = kind.refs_of(rule)
    assume(refs[number].get("weight", 1) != weight)
    ahead = [it for it in refs[:number] if not kind.name(it).endswith("-canary")]
    # Of two backends that differ in nothing but weight, nobody can say which one became which.
    twins = [it for it in refs if {**it, "weight": 0} == {**refs[number], "weight": 0}]
    assume(len(twins) == 1)
    is_split = any(kind.name(it).endswith("-canary") for it in refs)
    refs[number]["weight"] = weight
    # Where all are 0 and that means alike, what each was before cannot be read from it.
    assume(kind.absent_is_one or any(it.get("weight") for it in refs))
    expected = deepcopy(written)
    theirs = kind.refs_of(kind.rules_of(expected)[index])
    if is_split and kind.all_absent_is_even and not any(it.get("weight") for it in theirs):
        for it in theirs:  # they are alike no more
            it["weight"] = 1
    theirs[len(ahead)]["weight"] = weight
    assert kind.dialect.without_traffic(now, standing) == expected["spec"]
    mended = after(now, lambda mark: mark, first=standing)
    assert mended == after(expected, to("web", one), to("api", other))


@every_kind
@given(st.data(), SHARES)
def test_a_rule_that_is_taken_from_the_stored_route_stays_away(
    kind: Kind, data: st.DataObject, share: int
) -> None:
    written = data.draw(kind.any_route)
    rules = kind.rules_of(written)
    assume(rules)
    # Rules that match the same are one rule to every gateway.
    for place, rule in enumerate(rules):
        kind.at(rule, place)
    now, standing = after(written, to("web", share))
    gone = data.draw(st.integers(0, len(rules) - 1))
    del kind.rules_of(now)[gone]
    expected = deepcopy(written)
    del kind.rules_of(expected)[gone]
    assert kind.dialect.without_traffic(now, standing) == expected["spec"]


@every_kind
@given(st.data(), SHARES, SHARES)
def test_a_share_that_somebody_else_writes_is_put_back(
    kind: Kind, data: st.DataObject, share: int, forged: int
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, to("web", share))
    moved, _ = after(written, to("web", forged))
    assert after(moved, lambda mark: mark, first=standing) == (now, standing)


@every_kind
@given(st.data(), SHARES)
def test_a_mark_by_which_nothing_was_written_yet_changes_nothing_of_the_team_s(
    kind: Kind, data: st.DataObject, share: int
) -> None:
    """The analyzer marks first; where it dies then, the next look finds the route as it was."""
    written = data.draw(kind.any_route)
    now, standing = after(written, to("web", share))
    for text in (mark(web=share), standing, replace(standing, kept=())):
        assert kind.dialect.without_traffic(written, text) == written["spec"]
    assert after(now, to("web", 100 - share), first=standing) == after(
        written, to("web", 100 - share)
    )


def test_a_service_of_another_namespace_or_kind_is_not_ours() -> None:
    others: list[Json] = [
        {"namespace": "other"},
        {"kind": "InferencePool"},
        {"group": "example.com"},
    ]
    for more in others:
        foreign = route({"backendRefs": [ref("web", **more)]})
        assert not HTTP.leads_to(foreign, "web")
        assert HTTP.with_traffic(foreign, mark(web=50)).spec == foreign["spec"]
    assert HTTP.leads_to(route({"backendRefs": [ref("web", namespace=SPACE)]}), "web")


@pytest.mark.parametrize(
    "kept",
    [{}, {"rest": "44136fa3"}, {"rest": "44136fa3", "weights": [1]}]
    + [{"rest": "44136fa3", "weights": [["web:80", it]]} for it in (-1, MOST + 1, "1", True, 0.5)]
    + [{"rest": "44136fa3", "weights": [["web:80", MOST + 1, 2]]}],
)
def test_what_no_version_keeps_is_not_given_back(kept: Json) -> None:
    now, standing = after(route({"backendRefs": [ref("web", 2)]}), to("web", 50))
    [backend] = HTTP.without_traffic(now, replace(standing, kept=(kept,)))["rules"][0][
        "backendRefs"
    ]
    assert backend == ref("web", 2)
