"""A MetricTemplate as its team writes it."""

from typing import Final

from canary.model.values import Json
from canary.validation import queries
from canary.validation.providers import passed_over, strange_query, unasked
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
    problems = [*unasked(provider)]
    if not query.strip():
        problems.append("query: is empty; write the query that gives the metric's value")
        return Verdict(refused=tuple(problems))
    problems += strange_query(provider, query)
    found = queries.of_template(query, terms, promql=of_prometheus)
    return Verdict(
        refused=(*problems, *(f"query: {one}" for one in found.refused)),
        warnings=(*passed_over(provider), *(f"query: {one}" for one in found.warnings)),
    )
