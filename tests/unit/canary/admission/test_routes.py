"""What a write to a route means: who may change the splits, and who changes the rest."""

from copy import deepcopy
from dataclasses import replace

import pytest

from canary.admission.routes import RouteAnswer, RouteWrite, admit_route
from canary.model.traffic import Affinity, Traffic
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, TargetSplit, mark_of, marked, text_of

HTTP = HttpRoutes()
MARK = Mark(splits={"web": TargetSplit(stable="web", canary="web-canary", traffic=Traffic(20))})


def ref(name: str, weight: int = 1) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}


def route(*backends: Json) -> Json:
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"rules": [{"backendRefs": list(backends)}]},
    }


PLAIN = route(ref("web"))


def split(written: Json, mark: Mark = MARK) -> Json:
    """Return a route as it is stored under a mark."""
    found = HTTP.with_traffic(written, mark)
    return {**marked(written, found.mark.dump()), "spec": found.spec}


def admit(old: Json, new: Json, *, by_analyzer: bool = False) -> RouteAnswer:
    before = deepcopy(new)
    answer = admit_route(RouteWrite(old=old, new=new, by_analyzer=by_analyzer))
    assert new == before
    return answer


@pytest.mark.parametrize("kept", [True, False], ids=["apply keeps the mark", "replace drops it"])
def test_an_apply_of_the_team_gets_the_split_put_back(*, kept: bool) -> None:
    stored = split(PLAIN)
    answer = admit(stored, marked(PLAIN, text_of(stored)) if kept else PLAIN)
    assert (answer.outcome, answer.route) == ("split", stored)


def test_a_team_cannot_change_the_mark() -> None:
    stored = split(PLAIN)
    forged = MARK.having(
        "web", TargetSplit(stable="web", canary="web-canary", traffic=Traffic(100))
    )
    assert admit(stored, marked(stored, forged.dump())).route == stored


def test_a_team_cannot_make_a_mark() -> None:
    assert admit(PLAIN, marked(PLAIN, MARK.dump())).route == PLAIN


def test_the_analyzer_s_mark_becomes_weights() -> None:
    answer = admit(PLAIN, marked(PLAIN, MARK.dump()), by_analyzer=True)
    assert answer.route == split(PLAIN)


def test_the_analyzer_s_next_weight_keeps_what_the_team_wrote() -> None:
    stored = split(PLAIN)
    standing = mark_of(stored)
    assert standing is not None
    more = standing.having(
        "web", TargetSplit(stable="web", canary="web-canary", traffic=Traffic(70))
    )
    answer = admit(stored, marked(stored, more.dump()), by_analyzer=True)
    assert answer.route == split(PLAIN, more)


@pytest.mark.parametrize("how", ["leaving", "without a mark"])
def test_the_analyzer_s_removal_leaves_what_the_team_wrote(how: str) -> None:
    stored = split(PLAIN)
    standing = mark_of(stored)
    assert standing is not None
    text = standing.leaving("web").dump() if how == "leaving" else ""
    answer = admit(stored, marked(stored, text), by_analyzer=True)
    assert (answer.outcome, answer.route) == ("clean", PLAIN)


def test_a_new_backend_of_the_team_is_split_too() -> None:
    answer = admit(split(PLAIN), route(ref("web"), ref("api")))
    [rule] = answer.route["spec"]["rules"]
    weights = {it["name"]: it["weight"] for it in rule["backendRefs"]}
    assert weights == {"web": 80, "web-canary": 20, "api": 100}


def test_a_route_without_a_split_is_left_alone() -> None:
    new = route(ref("api"))
    answer = admit(PLAIN, new)
    assert answer.outcome == "no-split"
    assert answer.route is new


@pytest.mark.parametrize("by_analyzer", [True, False])
def test_what_another_version_or_kind_has_to_say_is_left_to_it(*, by_analyzer: bool) -> None:
    later = marked(PLAIN, '{"version":9}')
    assert admit(later, later, by_analyzer=by_analyzer).route == later
    unknown = {**marked(PLAIN, MARK.dump()), "kind": "TLSRoute"}
    assert admit(unknown, unknown, by_analyzer=by_analyzer).route == unknown


@pytest.mark.parametrize("by_analyzer", [True, False])
@pytest.mark.parametrize("text", ["as it stands", "leaving", "of the version before", ""])
def test_an_answer_is_the_same_when_it_is_asked_again(text: str, *, by_analyzer: bool) -> None:
    """Another webhook may change the route after this one, which is then asked once more."""
    standing = MARK.having(
        "api", TargetSplit(stable="api", canary="api-canary", traffic=Traffic(5))
    )
    stored = split(route(ref("web"), ref("api")), standing)
    if text == "leaving":
        kept = mark_of(stored)
        assert kept is not None
        stored = marked(stored, kept.leaving("api").dump())
    if text == "of the version before":
        stored = split(PLAIN, replace(MARK, elder="prod"))
    mark = text_of(stored) if text or not by_analyzer else ""
    written = marked(route(ref("web"), ref("api", 100)), mark)
    first = admit(stored, written, by_analyzer=by_analyzer).route
    assert HTTP.leads_to(first, "web-canary") == bool(mark)
    assert admit(stored, first, by_analyzer=by_analyzer).route == first


def test_a_copy_of_another_run_brings_no_rule_of_that_run_along() -> None:
    """Its cookie has another value, so this run's mark does not know the rule."""

    def kept(run: str) -> Mark:
        traffic = Traffic(20, affinity=Affinity(cookie="kept")).of_run(run)
        return Mark(splits={"web": replace(MARK.splits["web"], traffic=traffic)})

    saved, stored = split(PLAIN, kept("web a@1")), split(PLAIN, kept("web a@2"))
    assert saved["spec"] != stored["spec"]
    assert admit(stored, saved).route == stored
