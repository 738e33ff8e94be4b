"""The laws of a dialect, where a canary gets more than a share: matched, mirrored and kept."""

from copy import deepcopy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from canary.model.traffic import NOTHING, Traffic
from canary.routes.http_added import MOST_RULES
from canary.routes.mark import Mark, TargetSplit, marked
from tests.unit.canary.routes.kinds import Kind, every_kind
from tests.unit.canary.routes.rules import HTTP, TRAFFIC, mark, ref, route
from tests.unit.canary.routes.test_laws import Step, after, out


def with_(target: str, traffic: Traffic) -> Step:
    split = TargetSplit(stable=target, canary=f"{target}-canary", traffic=traffic)
    return lambda before: before.having(target, split)


@every_kind
@given(st.data(), TRAFFIC)
def test_taking_out_what_was_put_in_is_identity(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, with_("web", traffic))
    assert kind.dialect.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), first=standing) == (written, Mark())


@every_kind
@given(st.data(), st.lists(st.tuples(st.sampled_from(["web", "api"]), TRAFFIC), max_size=4))
def test_whatever_the_steps_of_two_targets_the_team_s_text_comes_back(
    kind: Kind, data: st.DataObject, steps: list[tuple[str, Traffic]]
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, *(with_(*step) for step in steps))
    assert kind.dialect.without_traffic(now, standing) == written["spec"]
    assert after(now, out("web"), out("api"), first=standing) == (written, Mark())


@every_kind
@given(st.data(), TRAFFIC, TRAFFIC)
def test_two_targets_commute_and_twice_is_once(
    kind: Kind, data: st.DataObject, one: Traffic, other: Traffic
) -> None:
    written = data.draw(kind.any_route)
    web, api = with_("web", one), with_("api", other)
    both = after(written, web, api)
    assert both == after(written, api, web)
    assert after(both[0], web, api, first=both[1]) == both
    assert after(written, web, api, out("web")) == after(written, api)


@every_kind
@given(st.data(), TRAFFIC, TRAFFIC)
def test_the_last_traffic_of_a_target_is_the_one_that_counts(
    kind: Kind, data: st.DataObject, first: Traffic, last: Traffic
) -> None:
    written = data.draw(kind.any_route)
    assert after(written, with_("web", first), with_("web", last)) == after(
        written, with_("web", last)
    )


@every_kind
@given(st.data(), TRAFFIC)
def test_a_manifest_that_is_applied_in_mid_run_is_what_comes_back(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    first = data.draw(kind.any_route)
    second = data.draw(kind.any_route)
    _, standing = after(first, with_("web", traffic))
    now, standing = after(second, lambda mark: mark, first=standing)
    assert (now, standing) == after(second, with_("web", traffic))
    assert kind.dialect.without_traffic(now, standing) == second["spec"]


@every_kind
@given(st.data(), TRAFFIC)
def test_a_rule_that_is_added_to_the_stored_route_stays_and_is_split(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    more = data.draw(kind.any_rule)
    now, standing = after(written, with_("web", traffic))
    kind.rules_of(now).append(deepcopy(more))
    expected = deepcopy(written)
    kind.rules_of(expected).append(deepcopy(more))
    assert kind.dialect.without_traffic(now, standing) == expected["spec"]
    mended = after(now, lambda mark: mark, first=standing)
    assert mended == after(expected, with_("web", traffic))


@every_kind
@given(st.data(), TRAFFIC)
def test_a_copy_that_was_saved_in_mid_run_and_is_applied_in_it_changes_nothing(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, with_("web", traffic))
    assert after(deepcopy(now), lambda mark: mark, first=standing) == (now, standing)


@every_kind
@given(st.data(), TRAFFIC)
def test_it_is_carried_or_said_to_be_refused_and_never_too_much(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, with_("web", traffic))
    assert kind.rules != "rules" or len(kind.rules_of(now)) <= MOST_RULES
    split = standing.splits["web"]
    found = kind.dialect.carried(marked(now, standing.dump()), split)
    if kind.dialect.refused(written, standing):
        assert found <= {NOTHING}
    elif found:
        assert found == {traffic}


@every_kind
@given(st.data(), TRAFFIC)
def test_what_somebody_takes_out_is_missed_and_put_back(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, with_("web", traffic))
    split = standing.splits["web"]
    if not any(it.startswith("rule ") for it in standing.added):
        return
    at = int(next(it for it in standing.added if it.startswith("rule ")).split(" ")[1])
    stolen = deepcopy(now)
    del kind.rules_of(stolen)[at]
    if kind.rules_of(stolen).count(kind.rules_of(now)[at]):
        return
    assert kind.dialect.carried(marked(stolen, standing.dump()), split) != {traffic}
    assert after(stolen, lambda mark: mark, first=standing) == (now, standing)


@every_kind
@given(st.data(), TRAFFIC)
def test_an_added_rule_that_somebody_edits_does_not_outlive_the_run(
    kind: Kind, data: st.DataObject, traffic: Traffic
) -> None:
    written = data.draw(kind.any_route)
    now, standing = after(written, with_("web", traffic))
    places = [int(it.split(" ")[1]) for it in standing.added if it.startswith("rule ")]
    edited = deepcopy(now)
    for at in places:
        kind.rules_of(edited)[at]["timeoutPolicy"] = {"response": "77s"}
    assert after(edited, out("web"), first=standing) == (written, Mark())


def test_a_rule_of_the_team_s_that_leads_to_the_canary_alone_is_kept() -> None:
    """It says the same as one that is split."""
    written = route({"backendRefs": [ref("web")]}, {"backendRefs": [ref("web-canary")]})
    now, standing = after(written, lambda before: before.having("web", mark(web=20).splits["web"]))
    again = after(now, lambda before: before, first=standing)
    assert again == (now, standing)
    assert HTTP.without_traffic(now, standing) == written["spec"]
    assert (
        HTTP.without_traffic(now, replace(standing, added=("rule", "part", "rule x y")))
        == (written["spec"])
    )
