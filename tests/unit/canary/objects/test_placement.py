"""Rules of placement: the canary's pods are spread from each other as the target's are."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import TARGET_LABEL
from canary.model.canary_labels import CanaryLabels
from canary.objects.placement import follow, followed
from tests.unit.canary.objects import drawn
from tests.unit.canary.objects.drawn import Json

MARK = {TARGET_LABEL: "web"}


def told_apart(template: dict[str, str], pods: dict[str, str]) -> CanaryLabels:
    pods = {**pods, **MARK}
    return CanaryLabels(template=template, pods=pods, selector=MARK, service=MARK)


LABELS = told_apart(
    {"app": "web", "tier": "front", "track": "x"}, {"app": "web-canary", "tier": "front"}
)
"""One label changed, one taken off."""


@st.composite
def changed(draw: st.DrawFn) -> CanaryLabels:
    template = draw(drawn.labels)
    pods = {
        key: draw(st.sampled_from((value, f"{value}-2")))
        for key, value in template.items()
        if draw(st.integers(0, 3))
    }
    added = draw(st.dictionaries(drawn.keys, st.just("new"), max_size=1))
    return told_apart(template, {**pods, **added})


@given(drawn.label_selectors, changed())
def test_a_rule_about_the_target_is_about_the_canary(selector: Json, labels: CanaryLabels) -> None:
    written = deepcopy(selector)
    moved = followed(selector, labels)
    assert selector == written
    if drawn.selected(selector, dict(labels.template)):
        assert drawn.selected(moved, dict(labels.pods))
    else:
        assert moved == selector
    assert followed(moved, labels) == moved


@given(drawn.label_selectors, changed(), drawn.labels)
def test_a_rule_about_others_goes_on_speaking_of_them(
    selector: Json, labels: CanaryLabels, others: dict[str, str]
) -> None:
    """What differs between target and canary is all that a moved rule can lose or win."""
    differ = {
        key
        for key in {*labels.template, *labels.pods}
        if labels.template.get(key) != labels.pods.get(key)
    }
    speaks_of = {*(selector.get("matchLabels") or {})} | {
        one["key"] for one in selector.get("matchExpressions") or ()
    }
    if not differ & speaks_of:
        moved = followed(selector, labels)
        assert drawn.selected(moved, others) is drawn.selected(selector, others)


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ({"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "web-canary"}}),
        (
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]},
            {
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["api", "web-canary"]}
                ]
            },
        ),
        ({"matchLabels": {"tier": "front"}}, {"matchLabels": {"tier": "front"}}),
        ({"matchLabels": {"app": "api"}}, {"matchLabels": {"app": "api"}}),
        ({}, {}),
        (
            {"matchExpressions": [{"key": "track", "operator": "Exists"}]},
            {"matchLabels": MARK},
        ),
        (
            {"matchLabels": {"track": "x", "tier": "front"}},
            {"matchLabels": {"tier": "front", **MARK}},
        ),
        (
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web-canary"]}]},
            {"matchLabels": MARK},
        ),
    ],
)
def test_how_a_selector_follows(written: Json, moved: Json) -> None:
    assert followed(written, LABELS) == moved


OWN = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"}
MOVED = {"labelSelector": {"matchLabels": {"app": "web-canary"}}, "topologyKey": "zone"}


def affinity(term: Json) -> Json:
    terms = {
        "requiredDuringSchedulingIgnoredDuringExecution": [deepcopy(term)],
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": deepcopy(term)}
        ],
    }
    return {
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}},
            "podAffinity": deepcopy(terms),
            "podAntiAffinity": terms,
        },
        "topologySpreadConstraints": [deepcopy(term)],
    }


def test_affinity_anti_affinity_and_spread_follow() -> None:
    pod = affinity(OWN)
    follow(pod, LABELS, "prod")
    assert pod == affinity(MOVED)


@pytest.mark.parametrize(
    ("where", "follows"),
    [
        ({}, True),
        ({"namespaces": ["prod", "other"]}, True),
        ({"namespaces": ["other"]}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "prod"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "payments"}}}, False),
        ({"matchLabelKeys": ["pod-template-hash"], "mismatchLabelKeys": ["tenant"]}, True),
    ],
)
def test_a_term_about_other_namespaces_stays(where: Json, *, follows: bool) -> None:
    terms = [{**deepcopy(OWN), **where}]
    pod = {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    }
    follow(pod, LABELS, "prod")
    assert terms == [{**(MOVED if follows else OWN), **where}]


def test_a_rule_without_a_selector_and_a_pod_without_rules_stay() -> None:
    pod = {"topologySpreadConstraints": [{"topologyKey": "zone"}], "affinity": None}
    follow(pod, LABELS, "prod")
    assert pod == {"topologySpreadConstraints": [{"topologyKey": "zone"}], "affinity": None}
