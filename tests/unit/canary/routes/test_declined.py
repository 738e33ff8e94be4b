"""What a gateway does not take: whose split it is, how long it stays out, and what is not ours."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from canary.admission.routes import RouteWrite, admit_route
from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from canary.routes.contour import HttpProxies
from canary.routes.declined import MOST_SAID, asked, declines, is_passing, shape_of
from canary.routes.dialect import Dialect
from canary.routes.mark import NO_MARK, Mark, TargetSplit, load_mark, mark_of, marked
from canary.routes.parents import TRAEFIK
from tests.unit.canary.routes.rules import HTTP, TRAFFIC, ref, route

RUN = "0123456789abcdef"
ALL_MIRRORED = Traffic(mirror=100, run=RUN)
WORDS = "Gateway public says Accepted: False (UnsupportedValue: no RequestMirror)"
TAKEN: Json = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
REFUSED: Json = {
    "type": "Accepted",
    "status": "False",
    "reason": "UnsupportedValue",
    "message": "no RequestMirror",
}
NOT_FOUND: Json = {
    "type": "ResolvedRefs",
    "status": "False",
    "reason": "BackendNotFound",
    "message": "web-canary",
}


def target(name: str, traffic: Traffic) -> TargetSplit:
    return TargetSplit(stable=name, canary=f"{name}-canary", traffic=traffic)


def plain(*names: str) -> Json:
    """Return a route with a rule for each Service, as nobody has split it yet."""
    found = route(
        *(
            {"matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}], **to(name)}
            for name in names or ("web",)
        )
    )
    found["metadata"]["generation"] = 1
    return found


def to(name: str) -> Json:
    return {"backendRefs": [ref(name)]}


def says(
    it: Json,
    *conditions: Json,
    of: int | None = None,
    by: str = "public",
    who: str = "a",
    more: Any = (),
) -> Json:
    """Return a route of which a gateway says this, of the stored generation or of another one."""
    generation = it["metadata"]["generation"] if of is None else of
    told = [{**one, "observedGeneration": generation} for one in conditions]
    entry = {"controllerName": who, "parentRef": {"name": by}, "conditions": told}
    return {**it, "status": {"parents": [entry, *more]}}


def now(it: Json, mark: Mark, dialect: Dialect = HTTP) -> Json:
    """Return a route as it is stored under a mark; a changed spec is another generation."""
    written = dialect.with_traffic(it, mark)
    found = {**marked(it, written.mark.dump()), "spec": written.spec}
    metadata = dict(found["metadata"])
    metadata["generation"] += written.spec != it["spec"]
    return {**found, "metadata": metadata}


def mark_on(it: Json) -> Mark:
    found = mark_of(it)
    assert found is not None
    return found


def ask(
    it: Json, traffic: Traffic, name: str = "web", *, lasting: bool = False, dialect: Dialect = HTTP
) -> Json:
    """Return a route as it is stored once a target has asked for its traffic."""
    wanted = asked(dialect, it, mark_on(it), name, target(name, traffic), lasting=lasting)
    return now(it, wanted, dialect)


def is_in(it: Json, name: str = "web") -> bool:
    return HTTP.leads_to(it, f"{name}-canary")


def mirrored() -> Json:
    """Return a route with a mirror in it; its gateway has taken the one without."""
    return ask(says(plain(), TAKEN), ALL_MIRRORED)


def why(it: Json, name: str = "web", *, lasting: bool = False) -> str:
    return declines(HTTP, it, mark_on(it), name, lasting=lasting)


def of_two(*second: Json) -> list[Json]:
    """Return what another gateway says."""
    told = [{**one, "observedGeneration": 2} for one in second]
    return [{"controllerName": "b", "parentRef": {"name": "other"}, "conditions": told}]


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ([TAKEN], ""),
        ([REFUSED], WORDS),
        ([{**REFUSED, "status": "Unknown"}], ""),
        ([{**TAKEN, "type": "PartiallyInvalid", "status": "False"}], ""),
        (
            [TAKEN, {**REFUSED, "type": "PartiallyInvalid", "status": "True"}],
            "Gateway public says PartiallyInvalid: True (UnsupportedValue: no RequestMirror)",
        ),
        (
            [TAKEN, {**NOT_FOUND, "reason": "RefNotPermitted"}],
            "Gateway public says ResolvedRefs: False (RefNotPermitted: web-canary)",
        ),
        ([TAKEN, NOT_FOUND], ""),
        ([{**REFUSED, "reason": "NoMatchingParent"}], ""),
        ([{**REFUSED, "reason": "NotAllowedByListeners"}], ""),
        ([{**REFUSED, "type": "Programmed"}], ""),
    ],
)
def test_what_a_gateway_says_of_the_stored_generation_is_taken_at_its_word(
    conditions: list[Json], said: str
) -> None:
    assert why(says(mirrored(), *conditions)) == said


def test_a_word_on_another_generation_is_none() -> None:
    assert why(says(mirrored(), REFUSED, of=1)) == ""
    unsaid = mirrored()
    assert why({**unsaid, "status": {"parents": [{"conditions": [REFUSED]}]}}) == ""
    assert why({**unsaid, "status": {}}) == ""


def test_of_two_gateways_one_is_enough_whichever_it_is() -> None:
    assert why(says(mirrored(), TAKEN, more=of_two(REFUSED))).startswith("Gateway other says")
    assert why(says(mirrored(), REFUSED, more=of_two(TAKEN))) == WORDS
    silent = [{"controllerName": "b", "parentRef": {"name": "other"}, "conditions": []}]
    assert why(says(mirrored(), REFUSED, more=silent)) == WORDS


def test_a_traefik_that_accepts_a_mirror_is_not_believed() -> None:
    """It answers 500 to all requests of the route; as it had said nothing before, nobody knew."""
    silent = ask(plain(), ALL_MIRRORED)
    taken = says(silent, TAKEN, who=TRAEFIK)
    assert why(taken).startswith("Gateway public: Traefik copies no requests of such a route")
    out = ask(taken, ALL_MIRRORED)
    assert out["spec"] == plain()["spec"]
    assert not is_in(ask(says(out, TAKEN, who=TRAEFIK), ALL_MIRRORED))
    assert why(says(silent, TAKEN, who=TRAEFIK, of=1)) == ""
    assert why(says(silent, TAKEN)) == ""
    assert why(says(ask(plain(), Traffic(20, run=RUN)), TAKEN, who=TRAEFIK)) == ""


def test_what_is_declined_goes_out_and_leaves_the_team_s_own_text() -> None:
    team = plain()
    out = ask(says(mirrored(), REFUSED), ALL_MIRRORED)
    assert out["spec"] == team["spec"]
    mine = mark_on(out).splits["web"]
    assert mine.declined is not None
    assert (mine.declined.said, mine.declined.run, mine.traffic) == (WORDS, RUN, NOTHING)
    assert load_mark(mark_on(out).dump()) == mark_on(out)
    assert HTTP.carried(out, target("web", ALL_MIRRORED)) == {NOTHING}
    assert HTTP.refused(out, mark_on(out)) == {}


@pytest.mark.parametrize(
    ("traffic", "back"),
    [
        (ALL_MIRRORED, False),
        (NOTHING, False),
        (Traffic(mirror=50, run=RUN), True),
        (Traffic(20, run=RUN), True),
        (Traffic(20, mirror=100, run=RUN), True),
        (Traffic(mirror=100, run="another"), True),
    ],
)
def test_it_stays_out_for_the_same_traffic_of_the_same_run(traffic: Traffic, *, back: bool) -> None:
    out = says(ask(says(mirrored(), REFUSED), ALL_MIRRORED), TAKEN)
    again = ask(out, traffic)
    assert is_in(again) is back
    assert again == out or back


def test_the_size_of_a_share_or_of_a_mirror_is_no_other_traffic() -> None:
    conditions = (Condition(name="x", by=Comparison.EXACT, value="1"),)
    match = (RequestMatch(headers=conditions),)
    shares = [shape_of(Traffic(it)) for it in (1, 50, 100)]
    assert len(set(shares)) == 1
    mirrors = [shape_of(Traffic(mirror=it)) for it in (1, 99)]
    assert len(set(mirrors)) == 1
    all_others = {
        shape_of(Traffic(mirror=100)),
        shape_of(NOTHING),
        shape_of(Traffic(1, match=match)),
    }
    assert len({*shares, *mirrors, *all_others}) == 5


def test_the_team_s_own_edit_has_it_tried_again_and_the_same_text_does_not() -> None:
    out = says(ask(says(mirrored(), REFUSED), ALL_MIRRORED), TAKEN)
    assert not is_in(ask(deepcopy(out), ALL_MIRRORED))
    edited = {**out, "spec": {**out["spec"], "hostnames": ["other.example"]}}
    assert is_in(ask(edited, ALL_MIRRORED))


def test_nobody_s_apply_puts_it_in_again_and_nobody_takes_the_memory_off() -> None:
    out = says(ask(says(mirrored(), REFUSED), ALL_MIRRORED), TAKEN)
    for new in (plain(), {**plain(), "spec": {"rules": [to("web"), to("api")]}}):
        stored = admit_route(RouteWrite(old=out, new=new, by_analyzer=False)).route
        assert stored["spec"] == new["spec"]
        assert mark_of(stored) == mark_of(out)


def test_an_end_takes_the_memory_with_it() -> None:
    out = ask(says(mirrored(), REFUSED), ALL_MIRRORED)
    ended = now(out, mark_on(out).leaving("web"))
    assert mark_of(ended) is NO_MARK
    assert ended["spec"] == plain()["spec"]


def test_a_run_that_ends_as_it_is_declined_has_nothing_left_in_the_rules() -> None:
    assert not is_in(ask(says(mirrored(), REFUSED), NOTHING))


def test_a_canary_that_asks_for_other_traffic_by_then_has_that() -> None:
    shared = ask(says(mirrored(), REFUSED), Traffic(20, run=RUN))
    assert is_in(shared)
    assert HTTP.carried(shared, target("web", Traffic(20))) == {Traffic(20)}


# --- what is not ours ---------------------------------------------------------------------------


def test_what_was_so_before_is_not_ours_and_what_comes_to_it_is() -> None:
    before = {**NOT_FOUND, "message": "api"}
    split = ask(says(plain(), TAKEN, before), ALL_MIRRORED)
    assert why(says(split, TAKEN, before), lasting=True) == ""
    assert why(says(split, REFUSED, before), lasting=True) == WORDS


def test_what_has_been_mended_meanwhile_is_ours_when_it_comes_again() -> None:
    split = ask(says(plain(), REFUSED), Traffic(5, run=RUN))
    assert why(says(split, REFUSED)) == ""
    mirrors = ask(says(split, TAKEN), ALL_MIRRORED)
    assert why(says(mirrors, REFUSED)) == WORDS


def test_a_gateway_that_says_the_same_without_us_has_it_against_the_team() -> None:
    """It was late: what it said of the team's own text was not known."""
    split = ask(says(plain(), TAKEN, of=0), ALL_MIRRORED)
    out = ask(says(split, REFUSED), ALL_MIRRORED)
    assert not is_in(out)
    assert not is_in(ask(says(out, REFUSED, of=2), ALL_MIRRORED)), "of the generation before"
    again = ask(says(out, REFUSED), ALL_MIRRORED)
    assert is_in(again)
    assert why(says(again, REFUSED)) == "", "it goes in once more, and no more out"


def test_rules_that_are_not_what_the_mark_makes_of_them_say_nothing_of_us() -> None:
    """The mark is written and the weights are not: the gateway speaks of what stood before."""
    text = Mark(splits={"web": target("web", Traffic(5))}).dump()
    unwritten = marked(plain(), text)
    assert why(says(unwritten, REFUSED)) == ""


def test_a_shape_that_was_taken_is_not_to_blame_for_what_comes_later() -> None:
    """As where its Service is deleted, or somebody changes the gateway."""
    first = says(ask(says(plain(), TAKEN), Traffic(5, run=RUN)), TAKEN)
    second = ask(first, Traffic(50, run=RUN))
    assert mark_on(second).splits["web"].taken
    assert why(says(second, REFUSED)) == ""
    edited = {**second, "spec": {**second["spec"], "hostnames": ["other.example"]}}
    assert why(says(edited, REFUSED)) == WORDS, "with another text of the team it is new again"


# --- of several targets -------------------------------------------------------------------------


def test_who_was_taken_before_stays_in() -> None:
    shared = says(ask(says(plain("api", "web"), TAKEN), Traffic(5, run=RUN), "api"), TAKEN)
    both = says(ask(shared, ALL_MIRRORED, "web"), REFUSED)
    assert (why(both, "api"), why(both, "web")) == ("", WORDS)
    out = ask(both, ALL_MIRRORED, "web")
    assert (is_in(out, "api"), is_in(out, "web")) == (True, False)
    assert not is_in(ask(says(out, TAKEN), ALL_MIRRORED, "web"))


def settled(it: Json, wanted: dict[str, Traffic], refuses: Any) -> tuple[Json, int]:
    """Have a gateway and all targets have their turns until nothing changes; count the turns."""
    for turn in range(20):
        before = it
        it = says(it, REFUSED if refuses(it) else TAKEN)
        for name, traffic in wanted.items():
            it = ask(it, traffic, name)
        if it["spec"] == before["spec"]:
            return it, turn
    raise AssertionError("it goes in and out for ever")


@pytest.mark.parametrize("guilty", ["api", "web"])
def test_of_two_that_are_as_new_the_one_that_is_not_to_blame_comes_back(guilty: str) -> None:
    other = {"api": "web", "web": "api"}[guilty]
    wanted = {guilty: ALL_MIRRORED, other: Traffic(5, run=RUN)}
    it = plain("api", "web")
    for name, traffic in wanted.items():
        it = ask(it, traffic, name)
    it, turns = settled(it, wanted, lambda it: "requestMirror" in str(it["spec"]))
    assert (is_in(it, guilty), is_in(it, other)) == (False, True)
    assert turns <= 5


def test_where_both_are_to_blame_both_stay_out() -> None:
    wanted = {"api": ALL_MIRRORED, "web": ALL_MIRRORED}
    it = plain("api", "web")
    for name, traffic in wanted.items():
        it = ask(it, traffic, name)
    it, _ = settled(it, wanted, lambda it: "requestMirror" in str(it["spec"]))
    assert not is_in(it, "api")
    assert not is_in(it, "web")
    assert it["spec"] == plain("api", "web")["spec"]


# --- what may be over by itself -----------------------------------------------------------------

SHARE = Traffic(5, run=RUN)


def weights(it: Json) -> dict[str, int]:
    [rule] = it["spec"]["rules"]
    return {ref["name"]: ref.get("weight", 1) for ref in rule["backendRefs"]}


def test_a_service_that_is_not_heard_of_yet_counts_once_it_lasts() -> None:
    it = says(ask(says(plain(), TAKEN), SHARE), TAKEN, NOT_FOUND)
    assert is_passing(HTTP, it, mark_on(it), "web")
    assert why(it) == ""
    assert "BackendNotFound" in why(it, lasting=True)
    assert weights(ask(it, SHARE)) == {"web": 95, "web-canary": 5}
    quiet = says(ask(it, SHARE, lasting=True), TAKEN, NOT_FOUND)
    assert weights(quiet) == {"web": 100, "web-canary": 0}, "the gateway says when it is over"
    assert mark_on(quiet).splits["web"].declined is None
    refused = says(it, REFUSED, NOT_FOUND)
    assert not is_passing(HTTP, refused, mark_on(refused), "web"), "something else is not"


@pytest.mark.parametrize("lasting", [False, True])
def test_without_a_share_a_service_is_waited_for_and_then_has_what_is_asked_for(
    *, lasting: bool
) -> None:
    quiet = says(ask(says(plain(), TAKEN), NOTHING), TAKEN, NOT_FOUND)
    for traffic in (NOTHING, SHARE, ALL_MIRRORED):
        again = ask(quiet, traffic, lasting=lasting)
        assert (again["spec"], mark_on(again)) == (quiet["spec"], mark_on(quiet))
    assert weights(ask(says(quiet, TAKEN), SHARE)) == {"web": 95, "web-canary": 5}


def test_what_is_not_over_by_itself_goes_out_though_a_service_is_not_heard_of_either() -> None:
    quiet = says(ask(says(plain(), TAKEN), NOTHING), REFUSED, NOT_FOUND)
    assert not is_in(ask(quiet, NOTHING))


# --- HTTPProxies --------------------------------------------------------------------------------

PROXIES = HttpProxies()


def proxy(*errors: Json, generation: int = 2) -> Json:
    valid = {"type": "Valid", "status": "False" if errors else "True", "observedGeneration": 2}
    return {
        "kind": "HTTPProxy",
        "metadata": {"name": "shop", "namespace": "prod", "generation": generation},
        "spec": {"routes": [{"services": [{"name": "web", "port": 80}]}]},
        "status": {"conditions": [{**valid, "errors": list(errors)}]},
    }


@pytest.mark.parametrize(
    ("error", "said", "passing"),
    [
        ({"type": "RouteError", "reason": "Bad", "message": "m"}, "(Bad: m)", False),
        ({"type": "ServiceError", "reason": "ServiceUnresolvedReference"}, "Unresolved", True),
        ({"type": "Orphaned", "reason": "Orphaned", "message": "no root"}, "", False),
    ],
)
def test_contour_says_it_by_its_errors(error: Json, said: str, *, passing: bool) -> None:
    found = PROXIES.word(proxy(error))
    assert found.whole
    assert [said in it.said for it in found.troubles] == [True] * bool(said)
    assert any(it.passing for it in found.troubles) is passing
    late = PROXIES.word(proxy(error, generation=3))
    assert (late.troubles, late.whole) == ((), False)


def test_a_proxy_that_is_valid_without_the_split_has_it_taken_out() -> None:
    it = ask(proxy(generation=2), ALL_MIRRORED, dialect=PROXIES)
    assert it["spec"]["routes"][0]["services"][-1]["mirror"]
    refused = proxy({"type": "RouteError", "reason": "Bad", "message": "m"})["status"]
    refused["conditions"][0]["observedGeneration"] = it["metadata"]["generation"]
    out = ask({**it, "status": refused}, ALL_MIRRORED, dialect=PROXIES)
    assert out["spec"] == proxy()["spec"]


# --- bounds -------------------------------------------------------------------------------------


@given(TRAFFIC)
def test_whatever_was_declined_the_rules_are_the_team_s(traffic: Traffic) -> None:
    asked_for = replace(traffic, run=RUN)
    it = ask(says(plain(), TAKEN), asked_for)
    if it["metadata"]["generation"] == 1:
        return  # nothing of it can be said on the route
    out = ask(says(it, REFUSED), asked_for)
    assert out["spec"] == plain()["spec"]
    assert ask(says(out, TAKEN), asked_for)["spec"] == plain()["spec"]
    assert load_mark(mark_on(out).dump()) == mark_on(out)


def test_no_more_of_a_gateway_s_words_is_kept_than_fits() -> None:
    it = says(mirrored(), {**REFUSED, "message": "x" * 100_000})
    mine = mark_on(ask(it, ALL_MIRRORED)).splits["web"]
    assert mine.declined is not None
    assert len(mine.declined.said) == MOST_SAID
