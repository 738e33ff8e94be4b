"""Writes to a route by the analyzer, of this version and of the one before, and what is counted."""

from dataclasses import replace

import pytest

from canary.admission.routes import RouteAnswer, RouteWrite, admit_route
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, TargetSplit, mark_of, marked, text_of

HTTP = HttpRoutes()


def ref(name: str, weight: int = 1) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}


def route(*backends: Json) -> Json:
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"rules": [{"backendRefs": list(backends)}]},
    }


def one(target: str, weight: int) -> TargetSplit:
    return TargetSplit(stable=target, canary=f"{target}-canary", traffic=Traffic(weight))


PLAIN = route(ref("web"), ref("api"))
WEB = Mark(splits={"web": one("web", 20)})
BOTH = WEB.having("api", one("api", 5))
ELDER = replace(WEB, elder="prod")
"""What the version before writes: it knows a single target."""


def split(written: Json, mark: Mark) -> Json:
    found = HTTP.with_traffic(written, mark)
    return {**marked(written, found.mark.dump()), "spec": found.spec}


def admit(old: Json, new: Json, *, by_analyzer: bool) -> RouteAnswer:
    return admit_route(RouteWrite(old=old, new=new, by_analyzer=by_analyzer))


def weights(written: Json) -> dict[str, int]:
    return {it["name"]: it["weight"] for it in written["spec"]["rules"][0]["backendRefs"]}


def mark(written: Json) -> Mark:
    found = mark_of(written)
    assert found is not None
    return found


OTHER_WEIGHTS = route(ref("web", 300), ref("web-canary", 100), ref("api", 7))


def test_weights_that_the_analyzer_writes_under_a_mark_that_stands_are_no_news() -> None:
    stored = split(PLAIN, WEB)
    answer = admit(stored, marked(OTHER_WEIGHTS, text_of(stored)), by_analyzer=True)
    assert (answer.outcome, answer.route) == ("split", stored)


def test_the_same_weights_of_a_team_are_its_new_ones() -> None:
    stored = split(PLAIN, WEB)
    answer = admit(stored, marked(OTHER_WEIGHTS, text_of(stored)), by_analyzer=False)
    assert answer.outcome == "split"
    assert weights(answer.route) == {"web": 24_000, "web-canary": 6000, "api": 700}


def test_under_a_mark_of_its_own_the_analyzer_writes_what_it_has_read() -> None:
    """The team has changed the route since the mark was made: what is written is read anew."""
    stored = split(PLAIN, WEB)
    more = mark(stored).having("web", one("web", 50))
    answer = admit(stored, marked(OTHER_WEIGHTS, more.dump()), by_analyzer=True)
    assert weights(answer.route) == {"web": 15_000, "web-canary": 15_000, "api": 700}


def test_without_a_canary_in_it_the_route_is_the_team_s_text() -> None:
    stored = split(PLAIN, WEB)
    fresh = route(ref("web", 3), ref("api", 2))
    answer = admit(stored, marked(fresh, text_of(stored)), by_analyzer=True)
    assert answer.route == split(fresh, WEB)


def test_what_the_version_before_writes_is_about_its_one_target() -> None:
    stored = split(PLAIN, BOTH)
    written = marked(stored, ELDER.having("web", one("web", 30)).dump())
    answer = admit(stored, written, by_analyzer=True)
    assert {target: it.weight for target, it in mark(answer.route).splits.items()} == {
        "web": 30,
        "api": 5,
    }
    assert weights(answer.route) == {"web": 70, "web-canary": 30, "api": 95, "api-canary": 5}


@pytest.mark.parametrize("before", [WEB, ELDER], ids=["by target", "its own"])
def test_of_its_own_target_it_says_all_and_is_understood_later(before: Mark) -> None:
    stored = split(PLAIN, before)
    written = marked(stored, ELDER.having("web", one("web", 30)).dump())
    answer = admit(stored, written, by_analyzer=True)
    assert mark(answer.route).elder == "prod"
    assert mark(answer.route).splits == {"web": one("web", 30)}


def test_in_place_of_its_own_mark_for_another_target_it_writes_the_next() -> None:
    stored = split(PLAIN, Mark(splits={"api": one("api", 5)}, elder="prod"))
    answer = admit(stored, marked(stored, ELDER.dump()), by_analyzer=True)
    assert mark(answer.route) == ELDER


def test_where_the_version_before_takes_its_mark_off_everything_goes() -> None:
    stored = split(PLAIN, BOTH)
    answer = admit(stored, marked(stored, ""), by_analyzer=True)
    assert (answer.outcome, answer.route) == ("clean", PLAIN)


@pytest.mark.parametrize("by_analyzer", [True, False])
def test_outcomes_without_a_split(*, by_analyzer: bool) -> None:
    later, unknown = marked(PLAIN, '{"version":9}'), {**marked(PLAIN, WEB.dump()), "kind": "TLS"}
    for written in (PLAIN, later, unknown):
        assert admit(written, written, by_analyzer=by_analyzer).outcome == "no-split"
    assert admit(split(PLAIN, WEB), PLAIN, by_analyzer=by_analyzer).warnings == ()
