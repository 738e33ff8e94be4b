"""Asks metric providers for what a strategy judges by."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from analyzer.loop.beginnings import Beginning, Beginnings
from analyzer.loop.emptiness import Emptiness, look_into
from analyzer.ports import (
    AtOnce,
    Deriver,
    MetricProvider,
    NotInstalled,
    ProviderError,
    SampleSource,
    UnderivableError,
)
from canary.counting.zeros import completed
from canary.model.asking import Sample
from canary.model.strategy import Builtin, Metric, Strategy, TemplateRef
from canary.model.values import Key
from canary.queries.builtin import SourceQuery
from canary.queries.metric import (
    Query,
    builtin_query,
    team_query,
    template_values,
    unread_query,
)
from canary.queries.provider import PROMETHEUS, ProviderSpec, provider_spec, with_secret
from canary.queries.sides import sides, versions_of
from canary.queries.templates import TemplateError
from canary.queries.values import least_excusing, told, worst
from canary.rules.checks import misses
from canary.spec.references import elsewhere
from runtime.errors import Forbidden, NotFound
from runtime.heard import Readable
from runtime.resources import METRICTEMPLATES, SECRETS


class Sampler:
    """Prepares queries, so that every fault in them is known before a canary is made, and asks.

    Args:
        cluster: where MetricTemplates and their Secrets are.
        providers: by the provider type of a MetricTemplate.
        metrics_server: address of the Prometheus for metrics without a template.
        cross_namespace: whether a Canary may name a MetricTemplate of another namespace, and so
            have that namespace's Secret used.
        builtin_sources: whose series of built-in metrics are asked for first.
        deriver: reads what teams have written; without any it is read on the spot.
        samples: by the provider type, where raw counters can be read.

    """

    def __init__(
        self,
        cluster: Readable,
        providers: Mapping[str, MetricProvider],
        metrics_server: str,
        *,
        cross_namespace: bool = False,
        builtin_sources: Sequence[str] = (),
        deriver: Deriver | None = None,
        samples: Mapping[str, SampleSource] | None = None,
    ) -> None:
        self._cluster = cluster
        self._providers = providers
        self._metrics_server = metrics_server
        self._cross_namespace = cross_namespace
        self._builtin_sources = builtin_sources
        self.deriver = deriver or AtOnce()
        self._beginnings = Beginnings(self.deriver, samples or {})

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
        spec = ProviderSpec(type=PROMETHEUS, address=address, asker=key.namespace)
        if isinstance(source, Builtin):
            return builtin_query(key, strategy, metric, spec, first=self._builtin_sources)
        return await self._of_team(key, strategy, metric, source, spec, "query")

    async def _of_team(
        self,
        key: Key,
        strategy: Strategy,
        metric: Metric,
        template: str,
        spec: ProviderSpec,
        source: str,
    ) -> Query:
        canary, stable = template_values(key, strategy, metric)
        if not spec.speaks_promql:
            # Nothing is parsed, so that it takes no time to speak of.
            return unread_query(metric, spec, template, (canary, stable), source=source)
        found = await self.deriver.derive(key.namespace, sides, template, canary, stable)
        versions = versions_of(canary, stable)
        return team_query(metric, spec, found, versions=versions, source=source)

    async def _from_template(
        self, key: Key, strategy: Strategy, metric: Metric, ref: TemplateRef
    ) -> Query:
        where = f"MetricTemplate {ref.namespace}/{ref.name}"
        if ref.namespace != key.namespace and not self._cross_namespace:
            raise ProviderError(elsewhere(where, key.namespace))
        try:
            template = await self._cluster.get(METRICTEMPLATES, ref.namespace, ref.name)
        except NotFound:
            raise ProviderError(f"{where} does not exist; create it or mend templateRef") from None
        provider = template["spec"]["provider"]
        match self._providers.get(provider["type"]):
            case None:
                known = ", ".join(sorted(self._providers))
                raise ProviderError(
                    f"{where}: provider {provider['type']} is none that is asked here; those are: "
                    f"{known}"
                )
            case NotInstalled() as absent:
                raise ProviderError(f"{where}: provider {provider['type']}: {absent.why}")
            case _:
                pass
        secret = (provider.get("secretRef") or {}).get("name")
        spec = provider_spec(provider, self._metrics_server, key.namespace)
        text = template["spec"]["query"]
        query = await self._of_team(key, strategy, metric, text, spec, ref.name)
        return replace(query, secret=(ref.namespace, secret) if secret else None)

    async def _sample(self, query: Query, *, baselines: bool) -> Sample:
        try:
            spec = await self.spec_of(query)
            values, source = await self._first(spec, query.metric, query.texts)
            began = await self._look_at_beginnings(spec, query, values, source)
            if began.value is not None:
                values, source = (began.value,), began.source
            empty = Emptiness() if values else await self._look_into(spec, query)
            values = values or empty.values
            found, baseline = worst(query.metric, values), None
            if query.compared and (found is None or query.metric.leeway is not None):
                same = tuple(b for b in query.stable if b.source == source or found is None)
                baseline = await self._baseline(spec, query.metric, same)
        except ProviderError as error:
            return Sample(metric=query.metric, problem=str(error), query=_written(query))
        if baselines and baseline is None and found is not None and misses(query.metric, found):
            baseline = await self._excuse(spec, query, source)
        waits = [text.waits_until for text in query.texts if text.waits_until is not None]
        return Sample(
            metric=query.metric,
            value=found,
            baseline=baseline,
            source=source,
            problem=empty.problem,
            query=_written(query, source),
            waits_until=max(waits) if waits and found is None else None,
            note="; ".join(
                filter(None, (query.note, told(query.metric, values), empty.note, began.note))
            ),
        )

    async def _look_at_beginnings(
        self, spec: ProviderSpec, query: Query, values: tuple[float, ...], source: str
    ) -> Beginning:
        """Count what rates leave out, where it is one number.

        A built-in metric has none where no request was counted; a team's share, where no bad one.
        """
        if len(values) > 1 or (not values and query.versions is None):
            return Beginning()
        texts = [
            text
            for text in query.texts
            if text.waits_until is None and (not values or text.source == source)
        ]
        return await self._beginnings.look(spec, texts)

    async def _look_into(self, spec: ProviderSpec, query: Query) -> Emptiness:
        """Tell no errors from no data, for what a team has written."""
        provider = self._providers[spec.type]
        if query.versions is None or query.texts[0].waits_until is not None:
            return Emptiness()
        text, names = query.texts[0].query, query.versions.names
        try:
            found = await self.deriver.derive(query.versions.namespace, completed, text, names)
        except UnderivableError:
            return Emptiness()  # An empty result says nothing then.
        interval = query.metric.interval
        return await look_into(found, lambda text: provider.query(spec, text, interval))

    async def _excuse(self, spec: ProviderSpec, query: Query, source: str) -> float | None:
        """Return the stable's value; a miss that it cannot excuse stays the canary's."""
        if not query.apart:
            return None
        same = tuple(text for text in query.stable if text.source == source)
        with suppress(ProviderError):
            return await self._baseline(spec, query.metric, same)
        return None

    async def _baseline(
        self, spec: ProviderSpec, metric: Metric, texts: tuple[SourceQuery, ...]
    ) -> float | None:
        values, _ = await self._first(spec, metric, texts)
        return least_excusing(metric, values)

    async def _first(
        self, spec: ProviderSpec, metric: Metric, texts: tuple[SourceQuery, ...]
    ) -> tuple[tuple[float, ...], str]:
        provider = self._providers[spec.type]
        for text in texts:
            if text.waits_until is not None:
                continue
            if values := await provider.query(spec, text.query, metric.interval):
                return values, text.source
        return (), ""

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
        return with_secret(query.spec, secret)


def _written(query: Query, source: str = "") -> str:
    """Return what was asked of the source that answered, else of those that could not."""
    asked = [text for text in query.texts if text.waits_until is None]
    return " # or\n".join(text.query for text in asked if not source or text.source == source)
