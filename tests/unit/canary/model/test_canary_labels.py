"""The canary's labels: nobody's pods but the canary's, and no label changed in vain."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.contract import TARGET_LABEL
from canary.model.canary_labels import (
    CanaryLabels,
    UnsuitableTarget,
    canary_labels,
    finding,
    strangers,
)
from tests.unit.canary.objects import drawn
from tests.unit.canary.objects.drawn import Json, service, target

MARK = {TARGET_LABEL: "web"}
FREE = "free"
"""A value that no selector of these tests speaks of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A target and the Services beside it."""

    worn: dict[str, str]
    selector: Json
    services: list[Json] = field(default_factory=list)
    live: tuple[dict[str, str], ...] = ()

    def chosen(self, worn: Mapping[str, str] | None = None, *, joins: bool = False) -> CanaryLabels:
        return canary_labels(
            target(self.worn, self.selector),
            self.services,
            stable="web",
            own="web-canary",
            live=self.live,
            worn=worn,
            joins=joins,
        )

    def is_apart(self, pods: dict[str, str]) -> bool:
        """Tell whether pods of these labels are nobody's but the canary's, in the plainest way."""
        return not drawn.selected(self.selector, pods) and not any(
            self.reaches(one, pods) for one in self.services
        )

    def reaches(self, one: Json, pods: dict[str, str]) -> bool:
        """Tell whether a Service selects pods now, or once they are given what they lack."""
        asked = one["spec"]["selector"]
        if not asked or one["metadata"]["name"] == "web-canary":
            return False
        told = {key for key, value in asked.items() if (self.worn | MARK).get(key) == value}
        over = one["metadata"]["name"] == "web" or any(
            asked.items() <= labels.items() for labels in self.live
        )
        given_later = {key: value for key, value in asked.items() if key not in told}
        worn = {**pods, **given_later} if over and told else pods
        return bool(asked.items() <= worn.items())


@st.composite
def namespaces(draw: st.DrawFn) -> Namespace:
    worn = draw(st.dictionaries(drawn.keys, drawn.values, min_size=1, max_size=4))
    some_of_worn = st.sets(st.sampled_from(sorted(worn)), min_size=1).map(
        lambda keys: {key: worn[key] for key in sorted(keys)}
    )
    anything = st.dictionaries(
        st.sampled_from((*drawn.KEYS, "role")), drawn.values, min_size=1, max_size=3
    )
    selectors = draw(st.lists(st.one_of(st.none(), some_of_worn, anything), max_size=4))
    names = draw(st.permutations(("web", "web-canary", "other", "third")))
    live = draw(st.sampled_from(((), ({**worn, "role": "web"},))))
    return Namespace(
        worn=worn,
        selector=draw(drawn.met_by(worn).filter(bool)),
        services=[service(*pair) for pair in zip(names, selectors, strict=False)],
        live=live,
    )


def every_choice() -> Iterator[dict[str, str]]:
    """Yield all labels that the canary's pods could wear: changed, added, taken off."""
    spoken = {*drawn.VALUES, FREE}
    options = [[*sorted(spoken), None] for _ in drawn.KEYS]
    for values in product(*options):
        worn = {key: v for key, v in zip(drawn.KEYS, values, strict=True) if v is not None}
        yield {**worn, **MARK}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    keys = {*before, *after} - {TARGET_LABEL}
    return {key for key in keys if before.get(key) != after.get(key)}


@given(namespaces())
@settings(max_examples=400)
def test_the_canary_is_nobodys_but_its_own(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        labels = found.chosen()
        assert found.is_apart(dict(labels.pods))
        assert strangers(found.services, labels.pods, "web-canary") == ()
        assert labels.selector.items() <= labels.pods.items()
        assert not labels.selector.items() <= found.worn.items()
        assert not labels.service.items() <= found.worn.items()
        assert found.worn == labels.template


@given(namespaces())
@settings(max_examples=60, deadline=None)
def test_as_few_labels_as_can_be_are_changed(found: Namespace) -> None:
    possible = [len(changes(found.worn, pods)) for pods in every_choice() if found.is_apart(pods)]
    try:
        labels = found.chosen()
    except UnsuitableTarget:
        assert possible == []
    else:
        assert len(changes(found.worn, labels.pods)) == min(possible)


@given(namespaces())
def test_what_is_changed_is_needed(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        pods = dict(found.chosen().pods)
        for key in changes(found.worn, pods):
            without = {other: value for other, value in pods.items() if other != key}
            before = {key: found.worn[key]} if key in found.worn else {}
            assert not found.is_apart(without | before)


@given(namespaces())
def test_the_order_of_services_makes_no_difference(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        again = replace(found, services=found.services[::-1])
        assert found.chosen() == again.chosen()


def test_many_services_change_no_label_in_vain() -> None:
    worn = dict.fromkeys(ascii_lowercase, "web")
    services = [service(f"s-{a}", {a: "web", b: "web"}) for a, b in pairwise(ascii_lowercase)]
    found = Namespace(worn=worn, selector={"matchLabels": {"a": "web"}}, services=services)
    pods = dict(found.chosen().pods)
    assert found.is_apart(pods)
    for key in changes(worn, pods):
        assert not found.is_apart({**pods, key: "web"})


# --- by hand ------------------------------------------------------------------------------------

APP = {"app": "web"}
TWO = {"app": "web", "tier": "front"}


def expressions(*found: Sequence[object]) -> Json:
    made = []
    for key, operator, *values in found:
        given_values = {"values": list(values)} if values else {}
        made.append({"key": key, "operator": operator, **given_values})
    return {"matchExpressions": made}


@pytest.mark.parametrize(
    ("worn", "selector", "services", "changed"),
    [
        pytest.param(
            APP, {"matchLabels": APP}, [service("web", APP)], {"app": "web-canary"}, id="one-label"
        ),
        pytest.param(
            APP,
            expressions(("app", "In", "web")),
            [service("web", APP)],
            {"app": "web-canary"},
            id="expressions-only",
        ),
        pytest.param(
            TWO,
            {"matchLabels": APP},
            [service("web", {"tier": "front"})],
            {"app": "web-canary", "tier": "front-canary"},
            id="the-service-selects-by-another-label",
        ),
        pytest.param(
            TWO,
            {"matchLabels": APP},
            [service("web", APP), service("inside", {"tier": "front"})],
            {"app": "web-canary", "tier": "front-canary"},
            id="a-second-service-by-another-label",
        ),
        pytest.param(
            TWO,
            {"matchLabels": TWO},
            [service("web", {"tier": "front"})],
            {"tier": "front-canary"},
            id="one-change-for-both",
        ),
        pytest.param(
            {"name": "web", "app": "web"},
            {"matchLabels": {"name": "web", "app": "web"}},
            [],
            {"app": "web-canary"},
            id="flaggers-order",
        ),
        pytest.param(
            APP, expressions(("app", "Exists")), [service("web", APP)], {"app": None}, id="exists"
        ),
        pytest.param(
            APP,
            expressions(("track", "DoesNotExist")),
            [],
            {"track": "canary"},
            id="does-not-exist",
        ),
        pytest.param(
            APP,
            expressions(("track", "NotIn", "canary", "baseline")),
            [],
            {"track": "baseline"},
            id="not-in",
        ),
        pytest.param(
            APP,
            expressions(("app", "In", "web", "web-canary")),
            [service("web", APP)],
            {"app": "web-canary-2"},
            id="the-value-is-taken-by-the-selector",
        ),
        pytest.param(
            APP,
            {"matchLabels": APP},
            [service("web", APP), service("old", {"app": "web-canary"})],
            {"app": "web-canary-2"},
            id="the-value-is-taken-by-a-service",
        ),
        pytest.param(
            APP,
            {"matchLabels": APP},
            [service("web", {"app": "web", "role": "leader"})],
            {"app": "web-canary"},
            id="a-label-that-pods-are-given-later",
        ),
        pytest.param(
            {**TWO, "version": "2"},
            {"matchLabels": APP},
            [service("web", {"tier": "front", "version": "1"})],
            {"app": "web-canary", "tier": "front-canary"},
            id="a-label-that-has-another-value-in-the-template",
        ),
        pytest.param(
            TWO,
            {"matchLabels": APP},
            [service("web", APP), service("names", {"tier": "front"}, type="ExternalName")],
            {"app": "web-canary"},
            id="an-external-name-is-over-no-pods",
        ),
        pytest.param(
            {"app": ""}, {"matchLabels": {"app": ""}}, [], {"app": "canary"}, id="an-empty-value"
        ),
    ],
)
def test_which_labels_are_changed(
    worn: dict[str, str],
    selector: Json,
    services: list[Json],
    changed: dict[str, str | None],
) -> None:
    found = Namespace(worn=worn, selector=selector, services=services)
    pods = found.chosen().pods
    assert {key: pods.get(key) for key in changes(worn, pods)} == changed
    assert pods[TARGET_LABEL] == "web"


def test_a_long_value_is_made_to_fit() -> None:
    long = "a" * 63
    pods = Namespace(worn={"app": long}, selector={"matchLabels": {"app": long}}).chosen().pods
    assert len(pods["app"]) == 63
    assert pods["app"].endswith("-canary")


def test_a_service_over_running_pods_only_is_kept_away() -> None:
    worn = {"app": "web", "tier": "front"}
    leader = {"tier": "front", "role": "leader"}
    before = Namespace(worn=worn, selector={"matchLabels": APP}, services=[service("lead", leader)])
    assert changes(worn, before.chosen().pods) == {"app"}
    running = Namespace(
        worn=worn,
        selector={"matchLabels": APP},
        services=before.services,
        live=({**worn, "role": "leader"},),
    )
    assert changes(worn, running.chosen().pods) == {"app", "tier"}


def test_the_canary_service_asks_what_the_stable_asks_beyond_the_template() -> None:
    stable = service("web", {"app": "web", "role": "leader"})
    labels = Namespace(worn=APP, selector={"matchLabels": APP}, services=[stable]).chosen()
    assert labels.service == {**MARK, "role": "leader"}
    assert labels.selector == MARK


@pytest.mark.parametrize(
    ("worn", "selector", "services", "told"),
    [
        pytest.param(
            APP,
            {"matchLabels": APP},
            [service("spy", MARK)],
            r"Service spy \(selects by headgate.dev/target=web\).*app.*or delete",
            id="a-service-over-canaries",
        ),
        pytest.param(
            APP,
            expressions(("track", "NotIn", "canary")),
            [service("new", {"track": "canary"})],
            r"Service new \(selects by track=canary\)",
            id="the-only-way-out-is-a-services-way-in",
        ),
        pytest.param(APP, {}, [], "selects by no label.*such as app", id="an-empty-selector"),
        pytest.param(APP | MARK, {"matchLabels": APP}, [], "take it out", id="our-own-label"),
        pytest.param(
            APP | {TARGET_LABEL: "x"},
            expressions((TARGET_LABEL, "Exists")),
            [],
            "selects by headgate.dev/target.*made anew",
            id="by-our-label-only",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_a_finding(
    worn: dict[str, str], selector: Json, services: list[Json], told: str
) -> None:
    with pytest.raises(UnsuitableTarget, match=told):
        Namespace(worn=worn, selector=selector, services=services).chosen()


@pytest.mark.parametrize(
    ("worn", "selector", "told"),
    [
        (APP, {"matchLabels": APP}, ""),
        (APP, expressions(("app", "Exists")), ""),
        (APP | MARK, {"matchLabels": APP}, "take it out of the template"),
        (APP, {}, "selects by no label"),
    ],
)
def test_what_a_deployment_shows_alone(worn: dict[str, str], selector: Json, told: str) -> None:
    found = finding(target(worn, selector))
    assert told in found
    assert bool(told) is bool(found)


def test_a_template_made_from_another_canary_is_told_apart_by_the_mark_alone() -> None:
    worn = {"app": "api-canary", TARGET_LABEL: "api"}
    labels = Namespace(worn=worn, selector={"matchLabels": worn}).chosen()
    assert labels.pods == {"app": "api-canary", **MARK}


@given(namespaces())
def test_a_canary_keeps_labels_that_will_do(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        labels = found.chosen()
        fewer = replace(found, services=found.services[1:])
        assert found.chosen(labels.pods).pods == labels.pods
        assert fewer.chosen(labels.pods).pods == labels.pods


@given(namespaces(), drawn.labels)
def test_labels_that_will_not_do_are_not_kept(found: Namespace, worn: dict[str, str]) -> None:
    with suppress(UnsuitableTarget):
        pods = dict(found.chosen(worn | MARK).pods)
        assert found.is_apart(pods)
        assert (pods == worn | MARK) or (pods == found.chosen().pods)
        assert found.chosen(worn).pods == found.chosen().pods


def test_a_service_that_comes_in_mid_run_rolls_no_canary() -> None:
    before = Namespace(worn=APP, selector={"matchLabels": APP}, services=[service("web", APP)])
    pods = before.chosen().pods
    old = replace(
        before, services=[*before.services, service("old", {"app": "web-canary", "tier": "x"})]
    )
    assert old.chosen().pods["app"] == "web-canary-2"
    assert old.chosen(pods).pods["app"] == "web-canary"


def test_services_made_in_mid_run_are_found() -> None:
    pods = {"app": "web-canary", "tier": "front", **MARK}
    made = [
        service("web", APP),
        service("web-canary", MARK),
        service("late", {"tier": "front"}),
        service("early", {"app": "web-canary"}),
        service("headless", {"tier": "front"}, clusterIP="None"),
        service("names", {"tier": "front"}, type="ExternalName"),
        service("by-hand", None),
    ]
    assert strangers(made, pods, "web-canary") == ("early", "headless", "late")


# --- labels by which the pods may join the stable Service ---------------------------------------


def asked_by(found: Namespace, name: str) -> Json:
    """Return what a Service asks that the target's template has."""
    asked = next(
        (it["spec"]["selector"] or {} for it in found.services if it["metadata"]["name"] == name),
        {},
    )
    return {key: value for key, value in asked.items() if found.worn.get(key) == value}


@given(namespaces())
@settings(max_examples=400)
def test_pods_that_join_are_the_services_and_nobody_elses(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        labels = found.chosen(joins=True)
        joined = {**labels.pods, **labels.joins}
        others = [it for it in found.services if it["metadata"]["name"] != "web"]
        assert found.is_apart(dict(labels.pods))
        assert labels.joins
        assert asked_by(found, "web").items() <= joined.items()
        assert replace(found, services=others).is_apart(joined)
        assert labels.selector.items() <= joined.items()


@given(namespaces())
@settings(max_examples=30, deadline=None)
def test_where_no_choice_is_found_there_is_none(found: Namespace) -> None:
    asked = asked_by(found, "web")
    others = [it for it in found.services if it["metadata"]["name"] != "web"]
    alone = replace(found, services=others)
    possible = bool(asked) and any(
        found.is_apart(pods) and alone.is_apart({**pods, **asked}) for pods in every_choice()
    )
    try:
        found.chosen(joins=True)
    except UnsuitableTarget:
        assert not possible
    else:
        assert possible


@given(namespaces())
def test_labels_that_were_chosen_before_are_kept_while_they_will_do(found: Namespace) -> None:
    with suppress(UnsuitableTarget):
        labels = found.chosen(joins=True)
        assert found.chosen(labels.pods, joins=True) == labels


@pytest.mark.parametrize(
    ("selector", "services", "pods", "joins"),
    [
        pytest.param(
            {"matchLabels": TWO},
            [service("web", APP)],
            {"app": "web-canary", "tier": "front-canary"},
            {"app": "web"},
            id="the-service-asks-less-than-the-target",
        ),
        pytest.param(
            {"matchLabels": TWO},
            [service("web", {**APP, "role": "leader"})],
            {"app": "web-canary", "tier": "front-canary"},
            {"app": "web"},
            id="what-pods-give-themselves-they-go-on-to",
        ),
        pytest.param(
            expressions(("app", "In", "web"), ("track", "DoesNotExist")),
            [service("web", APP)],
            {"app": "web-canary", "tier": "front", "track": "canary"},
            {"app": "web"},
            id="a-label-is-added",
        ),
        pytest.param(
            {"matchLabels": TWO},
            [service("web", APP), service("front", TWO)],
            {"app": "web-canary", "tier": "front-canary"},
            {"app": "web"},
            id="another-service-asks-more",
        ),
    ],
)
def test_by_which_labels_they_join(
    selector: Json, services: list[Json], pods: dict[str, str], joins: dict[str, str]
) -> None:
    labels = Namespace(worn=TWO, selector=selector, services=services).chosen(joins=True)
    assert {key: value for key, value in labels.pods.items() if key != TARGET_LABEL} == pods
    assert labels.joins == joins


@pytest.mark.parametrize(
    ("selector", "services"),
    [
        pytest.param({"matchLabels": APP}, [service("web", APP)], id="both-select-by-the-same"),
        pytest.param({"matchLabels": APP}, [service("web", TWO)], id="the-service-asks-more"),
        pytest.param(
            {"matchLabels": TWO},
            [service("web", APP), service("inside", APP)],
            id="a-second-service-that-asks-as-little",
        ),
        pytest.param({"matchLabels": TWO}, [service("web", {"b": "c"})], id="it-selects-no-pod"),
        pytest.param({"matchLabels": TWO}, [], id="no-service"),
    ],
)
def test_where_they_cannot_join_it_is_said_why(selector: Json, services: list[Json]) -> None:
    found = Namespace(worn=TWO, selector=selector, services=services)
    with pytest.raises(UnsuitableTarget, match=r"cannot join Service web.*one label more"):
        found.chosen(joins=True)
    assert found.chosen().joins == {}
