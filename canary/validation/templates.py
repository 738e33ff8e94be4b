"""A MetricTemplate as its team writes it."""

from typing import Final

from canary.model.values import Json
from canary.validation import queries
from canary.validation.urls import problem_with
from canary.validation.verdict import Terms, Verdict

_PROMETHEUS: Final = "prometheus"


def check(template: Json, terms: Terms) -> Verdict:
    """Judge a MetricTemplate.

    Whether its Secret is there, and what its variables are, only a run knows.

    Args:
        template: the object, with a spec.
        terms: the admin's.

    """
    spec = template["spec"]
    provider, query = spec.get("provider") or {}, str(spec.get("query") or "")
    of_prometheus = provider.get("type") == _PROMETHEUS
    problems = []
    if of_prometheus and provider.get("address") and problem_with(str(provider["address"])):
        problems.append(f"provider.address {problem_with(str(provider['address']))}")
    if not query.strip():
        problems.append("query: is empty; write the query that gives the metric's value")
        return Verdict(refused=tuple(problems))
    found = queries.of_template(query, terms, promql=of_prometheus)
    return Verdict(
        refused=(*problems, *(f"query: {one}" for one in found.refused)),
        warnings=tuple(f"query: {one}" for one in found.warnings),
    )
