"""Which version a team's query reads, on a real cluster: queries as teams have them."""

from functools import partial

import pytest

from tests.cluster.judged import HEALTHY, STABLE, Fault, judged_canary, lane
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    message,
    message_with,
    metric_template,
    phase,
    route,
    service,
    unchecked,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster

BACKEND = 'envoy_cluster_name=~"{{ namespace }}_{{ target }}-canary_[0-9a-zA-Z-]+"'
CONTOUR = f"""
100 - sum(rate(envoy_cluster_upstream_rq{{{BACKEND},envoy_response_code!~"5.*"}}[15s]))
/ sum(rate(envoy_cluster_upstream_rq{{{BACKEND},}}[15s])) * 100
"""
APP = 'namespace="{{ namespace }}",app="{{ target }}"'
NEVER = f"""
sum(rate(http_requests_total{{{APP},status="503"}}[15s]))
/ sum(rate(http_requests_total{{{APP}}}[15s])) * 100
"""


def judged_by(namespace: Kubectl, query: str, *, name: str = "web", evidence: str = "on") -> Json:
    """Return a Canary whose checks are this query's alone, with its template applied."""
    template = metric_template(namespace.namespace)
    template["spec"]["query"] = query
    namespace.apply(template)
    canary = judged_canary(interval="10s", evidence=evidence)
    canary["metadata"]["name"] = canary["spec"]["targetRef"]["name"] = name
    canary["spec"]["analysis"]["metrics"] = [
        {
            "name": "error-rate",
            "templateRef": {"name": "error-rate"},
            "thresholdRange": {"max": 1},
            "interval": "1m",
        }
    ]
    return canary


def test_a_query_for_the_canarys_service_by_flaggers_name_judges_the_canary(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_by(namespace, CONTOUR, evidence="off")
    with lane(namespace, gateway, host, 40, canary) as there:
        good = there.release(HEALTHY, deadline=120)
        assert good.phase == "Succeeded", good.message
        bad = there.release(Fault(name="fifth", errors=0.2), deadline=120)
        assert bad.phase == "Failed", bad.message
        assert "error-rate" in bad.message


def test_no_errors_yet_is_not_no_data(namespace: Kubectl, host: str, gateway: str) -> None:
    with lane(namespace, gateway, host, 40, judged_by(namespace, NEVER)) as there:
        outcome = there.release(HEALTHY, deadline=120)
        assert outcome.phase == "Succeeded", outcome.message


def test_a_label_that_nobody_has_is_named(namespace: Kubectl, host: str, gateway: str) -> None:
    canary = judged_by(namespace, NEVER.replace("status=", "stauts="))
    said = "no series of http_requests_total has the label stauts"
    with lane(namespace, gateway, host, 40, canary):
        namespace("set", "env", "deployment/web", "VERSION=misspelt")
        wait_for("what is said", lambda: said in message(namespace), 90)
        assert phase(namespace) == "Progressing"


NOT_THE_CANARYS = {
    'sum(rate(http_requests_total{app="web",status="500"}[15s])) or vector(0)': "names web",
    'sum(rate(up{app="{{ target }}-canary-canary"}[15s])) or vector(0)': "fits neither version",
    'sum(rate(http_requests_total{pod=~"web-.*",status="500"}[15s]))': "fits both versions",
    'sum(rate(requests{ingress="{{ ingress }}"}[15s])) or vector(0)': "is empty",
}


def test_queries_that_do_not_read_the_canary_hold_the_run_before_there_is_one(
    namespace: Kubectl, host: str
) -> None:
    canary = judged_by(namespace, NEVER)
    template = canary["spec"]["analysis"]["metrics"]
    bound = {"thresholdRange": {"max": 1}}
    canary["spec"]["analysis"]["metrics"] = [
        {"name": f"m{number}", "query": query, **bound}
        for number, query in enumerate(NOT_THE_CANARYS)
    ]
    unchecked(namespace, lambda: namespace.apply(web(STABLE), service(), route(host), canary))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    namespace("set", "env", "deployment/web", "VERSION=next")
    text = message_with(namespace, "stays held", deadline=30)
    for number, said in enumerate(NOT_THE_CANARYS.values()):
        found = text.partition(f"metric m{number}: ")[2].partition("; metric m")[0]
        assert said in found
        assert "{{ target }}" in found
    assert namespace.find("deployment", "web-canary") is None
    # Mended, the run goes on by itself.
    canary["spec"]["analysis"]["metrics"] = template
    namespace.apply(canary)
    wait_for("the canary", lambda: namespace.find("deployment", "web-canary"), 60)


LONG = "payments-reconciliation-of-foreign-accounts"
"""43 characters: the names of its canary's pods are cut."""
PODS = 'namespace="{{ namespace }}",kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"'
FLAGGERS = f"""
100 - sum(rate(http_requests_total{{{PODS},status!~"5.*"}}[15s]))
/ sum(rate(http_requests_total{{{PODS}}}[15s])) * 100
"""


def test_the_usual_pattern_for_pods_fits_those_of_a_long_name(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    canary = judged_by(namespace, FLAGGERS, name=LONG)
    namespace.apply(web(STABLE, name=LONG), service(LONG), route(host, LONG), canary)
    namespace("rollout", "status", f"deployment/{LONG}", "--timeout=120s", deadline=130)
    with Traffic(gateway, host=host, rate=40) as traffic:
        wait_for("answers", lambda: traffic.answers and traffic.answers[-1][1] == 200, 60)
        namespace("set", "env", f"deployment/{LONG}", "VERSION=long")
        ended = partial(phase, namespace, LONG)
        wait_for("the promotion", lambda: ended() == "Succeeded", 120)
    assert "long" in {text.rpartition(" ")[2] for _, _, text in traffic.answers}
