"""Asks metric providers for what a strategy judges by."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from analyzer.ports import Cluster, MetricProvider, ProviderError, ProviderSpec
from canary.counting.apart import tells_apart
from canary.measuring.countable import Comparable, Countable, Uncountable, countable, is_load_tested
from canary.model.asking import Sample
from canary.model.strategy import Builtin, Metric, Strategy, TemplateRef
from canary.model.values import Json, Key
from canary.objects.desired import canary_name
from canary.queries.builtin import SourceQuery, builtin_queries
from canary.queries.templates import TemplateError, TemplateValues, render
from canary.rules.checks import misses
from runtime.errors import Forbidden, NotFound
from runtime.resources import METRICTEMPLATES, SECRETS

DEFAULT_PROVIDER: Final = "prometheus"


@dataclass(frozen=True, slots=True)
class Query:
    """One metric, ready to be asked: its texts in the order in which they are tried.

    `stable` are the same texts for the stable. With `compared` its value sets the bound where it
    is the laxer one; `apart` is whether it reads nothing of the canary's.
    """

    metric: Metric
    spec: ProviderSpec
    texts: tuple[SourceQuery, ...]
    stable: tuple[SourceQuery, ...]
    compared: bool = False
    apart: bool = False
    secret: tuple[str, str] | None = None


def counted(query: Query, strategy: Strategy) -> Countable | Comparable | Uncountable:
    """Return how the evidence layer reads a metric of a strategy."""
    return countable(
        query.metric,
        query.texts,
        query.stable,
        alone=is_load_tested(strategy),
        gate=strategy.gate,
    )


class Sampler:
    """Prepares queries, so that every fault in them is known before a canary is made, and asks.

    Args:
        cluster: where MetricTemplates and their Secrets are.
        providers: by the provider type of a MetricTemplate.
        metrics_server: address of the Prometheus for metrics without a template.

    """

    def __init__(
        self, cluster: Cluster, providers: Mapping[str, MetricProvider], metrics_server: str
    ) -> None:
        self._cluster = cluster
        self._providers = providers
        self._metrics_server = metrics_server

    async def prepare(
        self, key: Key, strategy: Strategy
    ) -> tuple[tuple[Query, ...], tuple[str, ...]]:
        """Return the queries of a strategy and what is wrong with it, in words."""
        queries, problems = [], []
        for metric in strategy.metrics:
            try:
                queries.append(await self._prepare(key, strategy, metric))
            except (ProviderError, TemplateError) as error:
                problems.append(f"metric {metric.name}: {error}")
        return tuple(queries), tuple(problems)

    async def ask(
        self, queries: tuple[Query, ...], *, baselines: bool = False
    ) -> tuple[Sample, ...]:
        """Ask all queries at once; what cannot be answered is in the sample's `problem`.

        Args:
            queries: as they were prepared.
            baselines: whether a miss of the stable's own excuses one of the canary's.

        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._sample(query, baselines=baselines)) for query in queries
            ]
        return tuple(task.result() for task in tasks)

    async def _prepare(self, key: Key, strategy: Strategy, metric: Metric) -> Query:
        source = metric.source
        if isinstance(source, TemplateRef):
            return await self._from_template(key, strategy, metric, source)
        address = strategy.metrics_server or self._metrics_server
        spec = ProviderSpec(type=DEFAULT_PROVIDER, address=address, asker=key.namespace)
        if not isinstance(source, Builtin):
            texts = _both("query", source, key, strategy, metric)
            return Query(metric, spec, *texts, apart=_apart(key, *texts))
        return Query(
            metric,
            spec,
            _builtin(key, strategy, metric, canary_name),
            _builtin(key, strategy, metric, str),
            compared=True,
            apart=True,
        )

    async def _from_template(
        self, key: Key, strategy: Strategy, metric: Metric, ref: TemplateRef
    ) -> Query:
        where = f"MetricTemplate {ref.namespace}/{ref.name}"
        try:
            template = await self._cluster.get(METRICTEMPLATES, ref.namespace, ref.name)
        except NotFound:
            raise ProviderError(f"{where} does not exist; create it or mend templateRef") from None
        provider = template["spec"]["provider"]
        if provider["type"] not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ProviderError(f"{where}: unknown provider {provider['type']}; known: {known}")
        secret = (provider.get("secretRef") or {}).get("name")
        texts = _both(ref.name, template["spec"]["query"], key, strategy, metric)
        return Query(
            metric,
            replace(_spec(provider, self._metrics_server), asker=key.namespace),
            *texts,
            apart=_apart(key, *texts),
            secret=(ref.namespace, secret) if secret else None,
        )

    async def _sample(self, query: Query, *, baselines: bool) -> Sample:
        try:
            spec = await self.spec_of(query)
            found, source = await self._first(spec, query.texts)
            baseline = None
            if query.compared and (found is None or query.metric.leeway is not None):
                same = tuple(b for b in query.stable if b.source == source or found is None)
                baseline, _ = await self._first(spec, same)
        except ProviderError as error:
            return Sample(metric=query.metric, problem=str(error))
        if baselines and baseline is None and found is not None and misses(query.metric, found):
            baseline = await self._excuse(spec, query, source)
        return Sample(metric=query.metric, value=found, baseline=baseline, source=source)

    async def _excuse(self, spec: ProviderSpec, query: Query, source: str) -> float | None:
        """Return the stable's value; a miss that it cannot excuse stays the canary's."""
        if not query.apart:
            return None
        same = tuple(text for text in query.stable if text.source == source)
        with suppress(ProviderError):
            return (await self._first(spec, same))[0]
        return None

    async def _first(
        self, spec: ProviderSpec, texts: tuple[SourceQuery, ...]
    ) -> tuple[float | None, str]:
        for text in texts:
            value = await self._providers[spec.type].query(spec, text.query)
            if value is not None:
                return value, text.source
        return None, ""

    async def spec_of(self, query: Query) -> ProviderSpec:
        """Return where a query goes, with its Secret read.

        Raises:
            ProviderError: the Secret cannot be read.

        """
        if query.secret is None:
            return query.spec
        namespace, name = query.secret
        try:
            secret = await self._cluster.get(SECRETS, namespace, name)
        except (NotFound, Forbidden) as error:
            raise ProviderError(f"Secret {namespace}/{name} cannot be read: {error}") from error
        return _add_secret(query.spec, secret)


def _add_secret(spec: ProviderSpec, secret: Json) -> ProviderSpec:
    data = secret.get("data") or {}
    return replace(
        spec, secret={name: base64.b64decode(value).decode() for name, value in data.items()}
    )


def _spec(provider: Json, default_address: str) -> ProviderSpec:
    headers = provider.get("headers") or {}
    return ProviderSpec(
        type=provider["type"],
        address=provider.get("address") or default_address,
        headers={name: tuple(values) for name, values in headers.items()},
        verify_tls=not provider.get("insecureSkipVerify"),
    )


def _both(
    source: str, template: str, key: Key, strategy: Strategy, metric: Metric
) -> tuple[tuple[SourceQuery, ...], tuple[SourceQuery, ...]]:
    """Render a template for the canary and for the stable."""
    canary = render(template, _values(key, strategy, metric, canary_name(key.name)))
    stable = render(template, _values(key, strategy, metric, key.name))
    return (SourceQuery(source=source, query=canary),), (SourceQuery(source=source, query=stable),)


def _apart(key: Key, canary: tuple[SourceQuery, ...], stable: tuple[SourceQuery, ...]) -> bool:
    return all(
        tells_apart(ours.query, theirs.query, workload=canary_name(key.name), target=key.name)
        for ours, theirs in zip(canary, stable, strict=True)
    )


def _values(key: Key, strategy: Strategy, metric: Metric, workload: str) -> TemplateValues:
    return TemplateValues(
        name=key.name,
        namespace=key.namespace,
        workload=workload,
        baseline=key.name,
        service=strategy.service_name,
        interval=metric.interval,
        variables=metric.variables,
    )


def _builtin(
    key: Key, strategy: Strategy, metric: Metric, name_of: Callable[[str], str]
) -> tuple[SourceQuery, ...]:
    """Return a built-in metric's queries for the canary or, with names unchanged, the stable."""
    return builtin_queries(
        Builtin(str(metric.source)),
        namespace=key.namespace,
        service=name_of(strategy.service_name),
        workload=name_of(key.name),
        interval=metric.interval,
    )
