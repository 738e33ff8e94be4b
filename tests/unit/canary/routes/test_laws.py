"""The laws of a dialect, over generated rules."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.http_parts import MOST
from canary.routes.mark import Mark, load_mark
from tests.unit.canary.routes.rules import (
    HTTP,
    ROUTES,
    RULES,
    SHARES,
    SPACE,
    WEIGHTS,
    mark,
    ref,
    route,
    split,
)

Step = Callable[[Mark], Mark]


def carried(written: Json, asked: Mark) -> tuple[Json, Mark]:
    """Return a route after one write of the mark, with the mark as it is stored beside it."""
    before = deepcopy(written)
    found = HTTP.with_traffic(written, asked)
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


@given(ROUTES, SHARES)
def test_taking_out_what_was_put_in_is_identity(written: Json, share: int) -> None:
    now, standing = after(written, to("web", share))
    assert HTTP.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), first=standing) == (written, Mark())


@given(ROUTES, st.lists(st.tuples(st.sampled_from(["web", "api"]), SHARES), max_size=5))
def test_whatever_the_steps_of_two_targets_the_team_s_text_comes_back(
    written: Json, steps: list[tuple[str, int]]
) -> None:
    now, standing = after(written, *(to(*step) for step in steps))
    assert HTTP.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), out("api"), first=standing) == (written, Mark())


@given(ROUTES, SHARES, SHARES)
def test_splits_of_two_targets_commute(written: Json, one: int, other: int) -> None:
    web, api = to("web", one), to("api", other)
    assert after(written, web, api) == after(written, api, web)
    assert after(written, web, api, out("web")) == after(written, api)


@given(ROUTES, SHARES, SHARES, SHARES)
def test_the_last_share_of_a_target_is_the_one_that_counts(
    written: Json, first: int, last: int, other: int
) -> None:
    direct = after(written, to("api", other), to("web", last))
    assert after(written, to("web", first), to("api", other), to("web", last)) == direct


@given(ROUTES, SHARES, SHARES)
def test_applying_twice_is_applying_once(written: Json, one: int, other: int) -> None:
    once = after(written, to("web", one), to("api", other))
    assert after(once[0], to("web", one), to("api", other), first=once[1]) == once


@given(ROUTES, SHARES)
def test_a_target_s_split_is_nothing_to_rules_that_do_not_lead_to_it(
    written: Json, share: int
) -> None:
    now, _ = after(written, to("web", share))
    for was, rule in zip(written["spec"]["rules"], now["spec"]["rules"], strict=True):
        if not HTTP.leads_to(route(was), "web"):
            assert rule == was


# --- shares -------------------------------------------------------------------------------------


def parts(rule: Json) -> dict[int, int]:
    """Return the weight of each backend of the team with its canary's, by the place in the rule."""
    found: dict[int, int] = {}
    for it in rule["backendRefs"]:
        if it["name"].endswith("-canary"):
            found[len(found) - 1] += it["weight"]
        else:
            found[len(found)] = it.get("weight", 1)
    return found


@given(ROUTES, SHARES, SHARES)
def test_each_target_has_its_share_and_no_backend_another_one(
    written: Json, one: int, other: int
) -> None:
    now, _ = after(written, to("web", one), to("api", other))
    assert HTTP.carried(now, split("web", 0)) <= {Traffic(one)}
    assert HTTP.carried(now, split("api", 0)) <= {Traffic(other)}
    for was, rule in zip(written["spec"]["rules"], now["spec"]["rules"], strict=True):
        refs = rule.get("backendRefs") or []
        assert all(0 <= it.get("weight", 1) <= MOST for it in refs)
        before = [it.get("weight", 1) for it in was.get("backendRefs") or []]
        if not sum(before):
            continue
        units = parts(rule)
        for place, weight in enumerate(before):
            share = units[place] / sum(units.values())
            assert abs(share - weight / sum(before)) < 0.01
            assert (units[place] == 0) == (weight == 0)


@given(ROUTES)
def test_a_share_is_right_within_one_percent_at_every_weight(written: Json) -> None:
    for rule in written["spec"]["rules"]:
        single = route(rule)
        if not HTTP.carried(single, split("web", 0)):
            continue  # it has no traffic for web
        for share in range(0, 101, 7):
            [now] = after(single, to("web", share))[0]["spec"]["rules"]
            mine = [it for it in now["backendRefs"] if is_web(it)]
            theirs = [it for it in now["backendRefs"] if it["name"] == "web-canary"]
            canary = sum(it["weight"] for it in theirs)
            stable = sum(it["weight"] for it in mine)
            assert abs(100 * canary / (canary + stable) - share) <= 1


def is_web(it: Json) -> bool:
    return HTTP.leads_to(route({"backendRefs": [it]}), "web")


# --- what the team changes in mid-run -------------------------------------------------------------


@given(ROUTES, ROUTES, SHARES, SHARES)
def test_a_manifest_that_is_applied_in_mid_run_is_what_comes_back(
    first: Json, second: Json, one: int, other: int
) -> None:
    _, standing = after(first, to("web", one), to("api", other))
    now, standing = after(second, lambda mark: mark, first=standing)
    assert (now, standing) == after(second, to("web", one), to("api", other))
    assert after(now, out("api"), out("web"), first=standing) == (second, Mark())


@given(ROUTES, RULES, st.integers(0, 4), SHARES, SHARES)
def test_a_rule_that_is_added_to_the_stored_route_stays_and_is_split(
    written: Json, more: Json, place: int, one: int, other: int
) -> None:
    now, standing = after(written, to("web", one), to("api", other))
    now["spec"]["rules"].insert(place, deepcopy(more))
    expected = deepcopy(written)
    expected["spec"]["rules"].insert(place, deepcopy(more))
    assert HTTP.without_traffic(now, standing) == expected["spec"]
    mended = after(now, lambda mark: mark, first=standing)
    assert mended == after(expected, to("web", one), to("api", other))


@given(ROUTES, st.data(), st.one_of(WEIGHTS, st.just(100)), SHARES, SHARES)
def test_a_weight_that_is_changed_in_the_stored_route_is_the_team_s_new_one(
    written: Json, data: st.DataObject, weight: int, one: int, other: int
) -> None:
    now, standing = after(written, to("web", one), to("api", other))
    places = [
        (index, number)
        for index, rule in enumerate(now["spec"]["rules"])
        for number, it in enumerate(rule.get("backendRefs") or [])
        if not it["name"].endswith("-canary")
    ]
    assume(places)
    index, number = data.draw(st.sampled_from(places))
    refs = now["spec"]["rules"][index]["backendRefs"]
    assume(refs[number].get("weight", 1) != weight)
    ahead = [it for it in refs[:number] if not it["name"].endswith("-canary")]
    # Of two backends that differ in nothing but weight, nobody can say which one became which.
    twins = [it for it in refs if {**it, "weight": 0} == {**refs[number], "weight": 0}]
    assume(len(twins) == 1)
    refs[number]["weight"] = weight
    expected = deepcopy(written)
    expected["spec"]["rules"][index]["backendRefs"][len(ahead)]["weight"] = weight
    assert HTTP.without_traffic(now, standing) == expected["spec"]
    mended = after(now, lambda mark: mark, first=standing)
    assert mended == after(expected, to("web", one), to("api", other))


@given(ROUTES, st.data(), SHARES)
def test_a_rule_that_is_taken_from_the_stored_route_stays_away(
    written: Json, data: st.DataObject, share: int
) -> None:
    rules = written["spec"]["rules"]
    assume(rules)
    # Rules that match the same are one rule to every gateway: the first.
    for place, rule in enumerate(rules):
        rule["matches"] = [{"path": {"type": "PathPrefix", "value": f"/{place}"}}]
    now, standing = after(written, to("web", share))
    gone = data.draw(st.integers(0, len(rules) - 1))
    del now["spec"]["rules"][gone]
    expected = deepcopy(written)
    del expected["spec"]["rules"][gone]
    assert HTTP.without_traffic(now, standing) == expected["spec"]


@given(ROUTES, SHARES, SHARES)
def test_a_share_that_somebody_else_writes_is_put_back(
    written: Json, share: int, forged: int
) -> None:
    now, standing = after(written, to("web", share))
    moved, _ = after(written, to("web", forged))
    assert after(moved, lambda mark: mark, first=standing) == (now, standing)


@given(ROUTES, SHARES)
def test_a_mark_by_which_nothing_was_written_yet_changes_nothing_of_the_team_s(
    written: Json, share: int
) -> None:
    """The analyzer marks first; where it dies then, the next look finds the route as it was."""
    now, standing = after(written, to("web", share))
    for text in (mark(web=share), standing, replace(standing, kept=())):
        assert HTTP.without_traffic(written, text) == written["spec"]
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
    + [{"rest": "44136fa3", "weights": [["web:80", it]]} for it in (-1, MOST + 1, "1", True, 0.5)],
)
def test_what_no_version_keeps_is_not_given_back(kept: Json) -> None:
    now, standing = after(route({"backendRefs": [ref("web", 2)]}), to("web", 50))
    [backend] = HTTP.without_traffic(now, replace(standing, kept=(kept,)))["rules"][0][
        "backendRefs"
    ]
    assert backend == ref("web", 2)
