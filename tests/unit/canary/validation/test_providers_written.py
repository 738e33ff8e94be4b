"""A MetricTemplate that can ask nobody is refused when it is written, each of the providers."""

from typing import Any

import pytest

from canary.model.values import Json
from canary.validation.templates import check
from canary.validation.verdict import Terms, Verdict
from tests.unit.manifests.flagger_objects import METRICS

KEYS = {"name": "keys"}
URL = "https://metrics.example"
ENOUGH: dict[str, Json] = {
    "prometheus": {},
    "influxdb": {"address": URL},
    "datadog": {"secretRef": KEYS},
    "externalmetrics": {},
    "stackdriver": {"secretRef": KEYS},
    "cloudwatch": {"region": "eu-central-1"},
    "newrelic": {"secretRef": KEYS},
    "graphite": {"address": URL},
    "dynatrace": {"address": URL, "secretRef": KEYS},
    "keptn": {},
    "splunk": {"address": "wss://stream.eu0.signalfx.com", "secretRef": KEYS},
}
"""What each provider is asked with at least."""
QUERIES = {
    "prometheus": 'sum(x{app="{{ target }}"})',
    "keptn": "KeptnMetric/{{ namespace }}/{{ target }}",
    "externalmetrics": "{{ namespace }}/queue?labelSelector=app%3D{{ target }}",
}


def judged(kind: str, query: str | None = None, **provider: Any) -> Verdict:
    text = QUERIES.get(kind, "of:{{ target }}") if query is None else query
    spec = {"provider": {"type": kind, **provider}, "query": text}
    return check({"metadata": {"name": "t", "namespace": "prod"}, "spec": spec}, Terms())


@pytest.mark.parametrize("kind", METRICS)
def test_what_is_enough_is_taken_without_a_word(kind: str) -> None:
    assert judged(kind, **ENOUGH[kind]) == Verdict()


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in ENOUGH.items() for field in fields]
)
@pytest.mark.parametrize("empty", [None, ""])
def test_what_is_not_enough_is_refused_with_what_to_write(
    kind: str, field: str, empty: str | None
) -> None:
    given = {name: value for name, value in ENOUGH[kind].items() if name != field}
    if empty is not None:
        given[field] = {"name": empty} if field == "secretRef" else empty
    [said] = judged(kind, **given).refused
    assert said.startswith(f"provider.{field}: {kind} needs one; write ")


@pytest.mark.parametrize("kind", [kind for kind in METRICS if kind != "keptn"])
@pytest.mark.parametrize(
    "address", ["metrics.example", "ftp://x", "https://:80/x", "https://x:99999"]
)
def test_an_address_that_is_none_is_refused_and_not_repeated(kind: str, address: str) -> None:
    given = {**ENOUGH[kind], "secretRef": KEYS, "address": address}
    [said] = judged(kind, **given).refused
    assert said.startswith("provider.address is no URL of http or https")
    assert address not in said


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("cloudwatch", {"address": URL}, "need a secretRef of their own"),
        ("cloudwatch", {"insecureSkipVerify": True}, "need a secretRef of their own"),
        ("externalmetrics", {"secretRef": KEYS}, "is for an address, which is not given"),
        ("keptn", {"query": "errors"}, "write it as keptnmetric/<namespace>/<name>"),
        ("keptn", {"query": "keptnmetric/prod"}, "query: is none of keptn"),
        ("externalmetrics", {"query": "a/b/c"}, "write it as <namespace>/<metric>"),
        ("externalmetrics", {"query": "prod/"}, "query: is none of externalmetrics"),
        ("datadog", {"query": " \n"}, "query: is empty"),
    ],
)
def test_what_cannot_be_asked_so_is_refused(kind: str, given: Json, said: str) -> None:
    [found] = judged(kind, **{**ENOUGH[kind], **given}).refused
    assert said in found


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("keptn", "analysis/prod/mine/2m/app=web;zone=a"),
        ("keptn", "Analyses/prod/mine"),
        ("externalmetrics", "queue"),
    ],
)
def test_every_form_of_a_query_is_taken(kind: str, query: str) -> None:
    assert judged(kind, query) == Verdict()


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("prometheus", {"region": "eu-central-1"}, "provider.region: is CloudWatch's alone"),
        ("keptn", {"address": URL}, "provider.address: keptn is read of the API server"),
        ("keptn", {"secretRef": KEYS}, "provider.secretRef: keptn is read of the API server"),
    ],
)
def test_what_is_passed_over_is_said(kind: str, given: Json, said: str) -> None:
    found = judged(kind, **{**ENOUGH[kind], **given})
    assert (found.refused, len(found.warnings)) == ((), 1)
    assert found.warnings[0].startswith(said)
