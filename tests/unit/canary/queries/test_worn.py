"""A label by which a query asks for the canary must be one that its pods wear so."""

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.model.canary_labels import CanaryLabels
from canary.model.strategy import Metric, Strategy
from canary.model.values import Key
from canary.queries.metric import builtin_query, template_query
from canary.queries.provider import ProviderSpec
from canary.queries.worn import unworn
from canary.spec.steps import linear

KEY = Key(namespace="prod", name="web")
SPEC = ProviderSpec(type="prometheus", address="http://prometheus")
STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)


def problems(query: str, **pods: str) -> tuple[str, ...]:
    worn = {name.replace("__", "/").replace("_", "."): value for name, value in pods.items()}
    labels = CanaryLabels(template={}, pods=worn, selector={}, service={})
    metric = Metric(name="errors", source=query, maximum=1)
    return unworn([template_query(KEY, STRATEGY, metric, query, SPEC)], labels)


@pytest.mark.parametrize(
    ("query", "pods", "said"),
    [
        ('sum(x{app="{{ target }}"}) or vector(0)', {"app": "web"}, "the label app=web"),
        ('x{app=~"{{ target }}"}', {"app": "web"}, "the label app=web"),
        ('x{app="{{ target }}"}', {"app": "front-canary"}, "the label app=front-canary"),
        (
            'x{app_kubernetes_io_name="{{ target }}"}',
            {"app_kubernetes_io__name": "web", "app": "web-canary"},
            "the label app.kubernetes.io/name=web",
        ),
        ('x{app="{{ target }}"}', {"app": "web-canary"}, ""),
        ('x{app="{{ target }}"}', {"tier": "web"}, ""),
        ('x{app="web",pod=~"{{ target }}-.+"}', {"app": "web"}, ""),
        ('x{pod=~"{{ target }}-.+"}', {"app": "web"}, ""),
        ('x{tier="web",app="{{ target }}"}', {"app": "web-canary", "tier": "web"}, ""),
        ("not promql {{ target }}", {"app": "web"}, ""),
    ],
)
def test_a_label_that_the_canary_does_not_wear_so_is_named(
    query: str, pods: dict[str, str], said: str
) -> None:
    found = problems(query, **pods)
    if not said:
        assert found == ()
        return
    (problem,) = found
    assert said in problem
    assert "{{ target }}" in problem


def test_what_is_built_in_asks_for_no_label_of_a_pod() -> None:
    metric = Metric(name="request-success-rate", source="request-success-rate", minimum=99)
    labels = CanaryLabels(template={}, pods={"app": "web"}, selector={}, service={})
    query = builtin_query(KEY, STRATEGY, metric, SPEC)
    assert unworn([query], labels) == ()


def test_pods_that_join_a_service_wear_its_labels_while_they_are_judged() -> None:
    metric = Metric(name="errors", source='x{app="{{ target }}"}', maximum=1)
    query = template_query(KEY, STRATEGY, metric, 'x{app="{{ target }}"}', SPEC)
    apart = CanaryLabels(template={}, pods={"app": "web-canary"}, selector={}, service={})
    assert unworn([query], apart) == ()
    (problem,) = unworn([query], replace(apart, joins={"app": "web"}))
    assert "the label app=web" in problem
