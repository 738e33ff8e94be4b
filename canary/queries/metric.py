"""A metric of a strategy as it is asked for: its texts for the canary and for the stable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from canary.counting.versions import Versions
from canary.model.names import canary_name
from canary.model.strategy import Builtin, Metric, Strategy
from canary.model.values import Key
from canary.queries.builtin import SourceQuery, builtin_queries, sources_of
from canary.queries.provider import ProviderSpec
from canary.queries.sides import Rendered, sides, unread_sides, versions_of
from canary.queries.templates import TemplateValues


@dataclass(frozen=True, slots=True)
class Query:
    """One metric, ready to be asked: its texts in the order in which they are tried.

    `stable` are the same texts for the stable. With `compared` its value sets the bound where it
    is the laxer one; `apart` is whether it reads nothing of the canary's. `note` is what is not
    known of it. `versions` are what both are called, where the text is PromQL and a team's.
    """

    metric: Metric
    spec: ProviderSpec
    texts: tuple[SourceQuery, ...]
    stable: tuple[SourceQuery, ...]
    compared: bool = False
    apart: bool = False
    secret: tuple[str, str] | None = None
    note: str = ""
    versions: Versions | None = None


def builtin_query(
    key: Key,
    strategy: Strategy,
    metric: Metric,
    spec: ProviderSpec,
    *,
    first: Sequence[str] = (),
) -> Query:
    """Return a built-in metric, whose texts are Headgate's own.

    Args:
        key: the target.
        strategy: what its Canary asks for.
        metric: the metric.
        spec: where it is asked.
        first: the sources that the admin wants to be asked first.

    """
    sources = sources_of(strategy.provider, first)
    canary, stable = (
        _builtin(key, strategy, metric, name_of, sources) for name_of in (canary_name, str)
    )
    return Query(
        metric,
        spec,
        canary,
        stable,
        compared=True,
        apart=True,
    )


def template_query(
    key: Key,
    strategy: Strategy,
    metric: Metric,
    template: str,
    spec: ProviderSpec,
    *,
    source: str = "query",
) -> Query:
    """Return a metric whose text is the team's, rendered for the canary and for the stable.

    Args:
        key: the target.
        strategy: what its Canary asks for.
        metric: the metric.
        template: its text, with variables.
        spec: where it is asked.
        source: what the text is called in messages.

    Raises:
        TemplateError: the text cannot be rendered, or does not read the canary.

    """
    canary, stable = template_values(key, strategy, metric)
    if not spec.speaks_promql:
        return unread_query(metric, spec, template, (canary, stable), source=source)
    found, versions = sides(template, canary, stable), versions_of(canary, stable)
    return team_query(metric, spec, found, versions=versions, source=source)


def unread_query(
    metric: Metric,
    spec: ProviderSpec,
    template: str,
    values: tuple[TemplateValues, TemplateValues],
    *,
    source: str,
) -> Query:
    """Return a metric whose text is the team's, in a language other than PromQL.

    Args:
        metric: the metric.
        spec: where it is asked.
        template: its text, with variables.
        values: what they stand for, for the canary and for the stable.
        source: what the text is called in messages.

    Raises:
        TemplateError: the text cannot be rendered.

    """
    canary, stable = (replace(it, in_seconds=spec.writes_seconds) for it in values)
    return team_query(metric, spec, unread_sides(template, canary, stable), source=source)


def template_values(
    key: Key, strategy: Strategy, metric: Metric
) -> tuple[TemplateValues, TemplateValues]:
    """Return what a team's text may name, for the canary and for the stable."""
    return values_of(
        key, strategy.service_name, metric, canary=strategy.canary, ingress=strategy.ingress
    )


def values_of(
    key: Key, service: str, metric: Metric, *, canary: str = "", ingress: str = ""
) -> tuple[TemplateValues, TemplateValues]:
    """Return the same where of the strategy no more is known than these names.

    Args:
        key: the target.
        service: name of the Service whose traffic is split.
        metric: the metric.
        canary: name of the Canary, "" where it is called as its target.
        ingress: name of the Ingress that leads to it, "" where none is named.

    """
    of_canary, stable = (_values(key, service, metric, name_of) for name_of in (canary_name, str))
    name = canary or key.name
    return (
        replace(of_canary, name=name, ingress=ingress),
        replace(stable, name=name, ingress=ingress),
    )


def team_query(
    metric: Metric,
    spec: ProviderSpec,
    found: Rendered,
    *,
    source: str,
    versions: Versions | None = None,
) -> Query:
    """Return a metric whose text is the team's, and rendered already.

    Args:
        metric: the metric.
        spec: where it is asked.
        found: its text for both versions.
        source: what the text is called in messages.
        versions: what both are called, where it is PromQL.

    """
    return Query(
        metric,
        spec,
        (SourceQuery(source=source, query=found.canary),),
        (SourceQuery(source=source, query=found.stable),),
        apart=found.apart,
        note=found.note,
        versions=versions,
    )


def _values(
    key: Key, service: str, metric: Metric, name_of: Callable[[str], str]
) -> TemplateValues:
    return TemplateValues(
        name=key.name,
        namespace=key.namespace,
        workload=name_of(key.name),
        baseline=key.name,
        service=service,
        backend=name_of(service),
        interval=metric.interval,
        variables=metric.variables,
    )


def _builtin(
    key: Key,
    strategy: Strategy,
    metric: Metric,
    name_of: Callable[[str], str],
    sources: Sequence[str],
) -> tuple[SourceQuery, ...]:
    """Return a built-in metric's queries for the canary or, with names unchanged, the stable."""
    return builtin_queries(
        Builtin(str(metric.source)),
        namespace=key.namespace,
        service=name_of(strategy.service_name),
        workload=name_of(key.name),
        interval=metric.interval,
        split=strategy.service_name,
        sources=sources,
    )
