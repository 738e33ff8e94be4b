"""Which targets a change of a route concerns, and which splits are known of."""

from typing import Any

from analyzer.loop.following import essence_of_route, without_mark
from analyzer.loop.index import MOST_MARKED, MOST_SPLITS, ClusterIndex
from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL, PROMOTING, SPLIT
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.routes.mark import MOST_TARGETS, Mark, TargetSplit
from runtime.informer import Informer
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, NAMESPACES
from tests.fakes.objects import deployment
from tests.fakes.stored import Stored

WEB, API = (Key(namespace="prod", name=name) for name in ("web", "api"))


def index() -> ClusterIndex:
    kinds = (NAMESPACES, DEPLOYMENTS, CANARIES, HTTPROUTES)
    namespaces, targets, canaries, routes = (Informer(_Never(), kind) for kind in kinds)
    return ClusterIndex(namespaces, targets, canaries, (routes,))


class _Never(Stored):
    """What is learned here is told by the test: nothing is listed or watched."""

    def watch(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


def route(*targets: str, name: str = "web", hosts: tuple[str, ...] = (), **status: Any) -> Json:
    splits = {
        one: TargetSplit(stable=one, canary=f"{one}-canary", traffic=Traffic(10)) for one in targets
    }
    notes = {SPLIT: Mark(splits=splits).dump()} if targets else {}
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": "prod", "name": name, "annotations": notes},
        "spec": {"hostnames": list(hosts)},
        "status": status,
    }


def test_the_targets_of_its_splits_of_now_and_before_are_looked_at() -> None:
    it = index()
    assert it.learn_route(None, route("web")) == (WEB,)
    assert set(it.learn_route(route("web"), route("api"))) == {WEB, API}
    assert (it.split(WEB), it.split(API)) == (False, True)
    assert it.learn_route(route("api"), None) == (API,)
    assert it.split_targets() == ()


def test_a_split_on_two_routes_goes_with_the_second() -> None:
    it = index()
    for name in ("one", "two"):
        it.learn_route(None, route("web", name=name))
    it.learn_route(route("web", name="one"), route(name="one"))
    assert it.split(WEB)
    it.learn_route(route("web", name="two"), None)
    assert not it.split(WEB)


def test_what_a_gateway_writes_of_a_route_concerns_nobody() -> None:
    it = index()
    it.learn_route(None, route("web"))
    assert it.learn_route(route("web"), route("web", parents=[{}])) == ()


def test_a_route_without_a_split_concerns_what_is_in_a_run_beside_it() -> None:
    it = index()
    it.learn_target(WEB, deployment(annotations={HOLD: "5f7c"}))
    it.learn_target(API, deployment(name="api", annotations={PROMOTING: "5f7c"}))
    it.learn_target(Key(namespace="other", name="web"), deployment(annotations={HOLD: "5f7c"}))
    assert set(it.learn_route(None, route())) == {WEB, API}
    it.learn_target(WEB, deployment())
    it.learn_target(API, None)
    assert it.learn_route(route(), route(hosts=("web.example",))) == ()


def weighed(weight: int, *names: str) -> Json:
    """Return what is kept of a route with a split of `web` that leads to these Services."""
    split = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(weight))
    backends = [{"name": name, "port": 80, "weight": weight} for name in names]
    found = route()
    found["metadata"]["annotations"] = {SPLIT: Mark(splits={"web": split}).dump()}
    found["spec"]["rules"] = [{"backendRefs": backends}]
    return essence_of_route(found)


def test_a_step_of_one_run_has_no_other_looked_at_and_a_service_more_has() -> None:
    it = index()
    for key in (WEB, API):
        it.learn_target(key, deployment(name=key.name, annotations={HOLD: "5f7c"}))
    first, step = weighed(10, "web", "web-canary"), weighed(20, "web", "web-canary")
    assert set(it.learn_route(None, first)) == {WEB, API}
    assert it.learn_route(first, step) == (WEB,)
    other = weighed(20, "web", "web-canary", "api")
    assert set(it.learn_route(step, other)) == {WEB, API}
    assert set(it.learn_route(other, None)) == {WEB, API}


def test_a_mark_that_nobody_can_read_has_no_splits() -> None:
    odd = route()
    odd["metadata"]["annotations"] = {SPLIT: "{"}
    assert index().learn_route(None, odd) == ()


def test_a_route_of_which_the_mark_was_not_kept_loses_the_splits_that_it_had() -> None:
    it = index()
    one = essence_of_route(route("web"))
    assert it.learn_route(None, one) == (WEB,)
    assert it.learn_route(without_mark(one), essence_of_route(route())) == (WEB,)
    assert (it.split(WEB), it.split_targets()) == (False, ())
    it.learn_route(without_mark(one), one)
    assert it.learn_route(without_mark(one), None) == (WEB,)
    assert not it.split(WEB)


def test_a_mark_of_more_targets_than_a_route_has_backends_concerns_nobody() -> None:
    it, names = index(), [f"web-{number}" for number in range(5_000)]
    assert it.learn_route(None, route(*names)) == ()
    assert it.split_targets() == ()
    assert len(it.learn_route(None, route(*names[:MOST_TARGETS]))) == MOST_TARGETS


def test_any_target_of_a_namespace_with_more_splits_than_are_known_may_be_split() -> None:
    it, routes = index(), MOST_SPLITS // MOST_TARGETS + 3
    for number in range(routes):
        names = [f"web-{number}-{n}" for n in range(MOST_TARGETS)]
        assert len(it.learn_route(None, route(*names, name=str(number)))) == MOST_TARGETS
    assert len(it.split_targets()) == MOST_SPLITS
    other = Key(namespace="other", name="web")
    assert (it.split(WEB), it.split(other)) == (True, False)
    for number in range(routes):
        gone = without_mark(route(name=str(number)))
        it.learn_route(gone, None if number % 2 else gone)
    assert (it.split(WEB), it.split_targets()) == (False, ())
    it.learn_route(None, route("web"))
    assert it.split_targets() == (WEB,)


# --- targets of other namespaces -----------------------------------------------------------------

EDGE = ("HTTPRoute", "edge", "web")


def of_edge(*targets: str, name: str = "web") -> Json:
    found = route(*targets, name=name)
    return {**found, "metadata": {**found["metadata"], "namespace": "edge"}}


def label(it: ClusterIndex, namespace: str, value: str) -> None:
    obj = {"metadata": {"name": namespace, "labels": {NAMESPACE_LABEL: value}}}
    it.namespaces.store.put(("", namespace), obj)


def test_a_split_of_another_namespace_s_target_is_heard_of_where_nobody_else_writes_it() -> None:
    it = index()
    assert it.learn_route(None, of_edge("prod/web")) == (), "anybody may have written that"
    assert (it.split(WEB), it.split_targets()) == (False, ())
    assert it.marked(WEB) == (EDGE,), "and it may be what is left of a label"
    label(it, "edge", NAMESPACE_ENABLED)
    assert (it.split(WEB), it.split_targets()) == (True, (WEB,))
    theirs = Key(namespace="edge", name="web")
    assert set(it.learn_route(of_edge("prod/web"), of_edge("web"))) == {WEB, theirs}
    assert (it.split(WEB), it.split(theirs), it.marked(WEB)) == (False, True, ())
    label(it, "edge", "")
    assert it.learn_route(of_edge("web"), of_edge("web", "prod/web")) == (theirs,)


def test_those_that_are_ours_for_sure_are_looked_at_first() -> None:
    it = index()
    label(it, "prod", NAMESPACE_ENABLED)
    for number in range(2 * MOST_MARKED):
        it.learn_route(None, of_edge("prod/web", name=f"forged-{number:03}"))
    it.learn_route(None, route("web", name="zone"))
    found = it.marked(WEB)
    assert len(found) == MOST_MARKED
    assert found[0] == ("HTTPRoute", "prod", "zone")
