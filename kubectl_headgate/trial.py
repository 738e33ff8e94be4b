"""Prepares a replay: the Canary's metrics with what is to be tried, and who has their counters."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from analyzer.loop.sampling import Sampler
from analyzer.ports import Cluster, MetricProvider, ProviderError
from analyzer.settings import Settings
from canary.measuring.countable import Comparable, Countable, Uncountable, counted
from canary.model.strategy import InvalidStrategy, Metric, Strategy
from canary.model.values import Json, Key
from canary.queries.metric import Query
from canary.queries.provider import PROMETHEUS, ProviderSpec
from canary.spec.canary import parse_strategy
from canary.spec.problems import Problems
from canary.spec.settings import from_options, tuned, tuning_of
from kubectl_headgate.arguments import Options
from kubectl_headgate.candidate import candidate_on_record
from kubectl_headgate.faults import Unreadable
from kubectl_headgate.history import Window
from kubectl_headgate.naming import Sides
from kubectl_headgate.objects import service_of
from kubectl_headgate.replay import Question


async def prepare(
    cluster: Cluster,
    provider: MetricProvider,
    canary: Json,
    settings: Settings,
    options: Options,
) -> tuple[Question, Mapping[str, ProviderSpec]]:
    """Return what is to be judged, and by metric the server that has its counters.

    Args:
        cluster: where MetricTemplates and their Secrets are.
        provider: of Prometheus.
        canary: the object, stored or made from defaults.
        settings: the admin's.
        options: what was asked for.

    Raises:
        Unreadable: the Canary is invalid, or none of its metrics can be judged.

    """
    key = Key(namespace=canary["metadata"]["namespace"], name=canary["spec"]["targetRef"]["name"])
    strategy = tried(_valid(canary, settings), options)
    if strategy.any_service:
        name = await service_of(cluster, key.namespace, key.name, strategy.service_name)
        strategy = replace(strategy, service_name=name)
    sampler = Sampler(
        cluster,
        {PROMETHEUS: provider},
        settings.metrics_server,
        cross_namespace=settings.cross_namespace_refs,
        builtin_sources=settings.builtin_sources,
    )
    queries, problems = await sampler.prepare(key, strategy)
    found = [counted(query, strategy) for query in queries]
    metrics = tuple(one for one in found if isinstance(one, Countable))
    scalars = tuple(one for one in found if isinstance(one, Comparable))
    uncounted = tuple(one for one in found if isinstance(one, Uncountable))
    if not metrics and not scalars:
        raise _nothing_to_judge(key, uncounted, problems)
    names = {one.metric.name for one in metrics} | {one.metric.name for one in scalars}
    wanted = [query for query in queries if query.metric.name in names]
    specs = {query.metric.name: await _spec(sampler, query, options) for query in wanted}
    candidate = await candidate_on_record(cluster, canary)
    question = Question(
        key=key,
        policy=strategy.policy,
        metrics=metrics,
        scalars=scalars,
        uncounted=uncounted,
        sides=Sides(target=key.name, revision=options.revision, against=options.against),
        window=Window(start=options.start, end=options.end, step=options.step),
        candidate=candidate,
        remarks=(*problems, *((candidate.remark,) if candidate.remark else ())),
    )
    return question, specs


def tried(strategy: Strategy, options: Options) -> Strategy:
    """Return a strategy with what is to be tried; its evidence is on, whatever it says.

    Raises:
        Unreadable: an option cannot be read, or a bound is for a metric that it has not.

    """
    bounds = [name for name, _ in (*options.minimum, *options.maximum)]
    names = [metric.name for metric in strategy.metrics]
    if strange := sorted(set(bounds) - set(names)):
        raise Unreadable(
            f"there is no metric {', '.join(strange)}; its metrics are {', '.join(names) or 'none'}"
        )
    problems = Problems()
    tuning = from_options(options.tried, problems, tuning_of(strategy))
    if problems.found:
        raise Unreadable("; ".join(problems.found))
    return replace(
        tuned(strategy, replace(tuning, evidence=True)),
        metrics=tuple(_bounded(metric, options) for metric in strategy.metrics),
    )


def _bounded(metric: Metric, options: Options) -> Metric:
    return replace(
        metric,
        minimum=dict(options.minimum).get(metric.name, metric.minimum),
        maximum=dict(options.maximum).get(metric.name, metric.maximum),
    )


def _valid(canary: Json, settings: Settings) -> Strategy:
    strategy = parse_strategy(canary, settings.defaults)
    if isinstance(strategy, InvalidStrategy):
        name = canary["metadata"]["name"]
        raise Unreadable(f"Canary {name} cannot be followed: {'; '.join(strategy.problems)}")
    return strategy


def _nothing_to_judge(
    key: Key, uncounted: Iterable[Uncountable], problems: Iterable[str]
) -> Unreadable:
    reasons = [*(f"metric {one.metric}: {one.why}" for one in uncounted), *problems]
    why = "; ".join(reasons) or "it has no metrics"
    return Unreadable(
        f"no metric of {key.name} can be judged, so there is nothing to replay ({why}); give its "
        "Canary a metric that is a share of requests, a quantile of a histogram or a number of "
        "every pod"
    )


async def _spec(sampler: Sampler, query: Query, options: Options) -> ProviderSpec:
    """Return where a metric's counters are; a person's own address takes the place of any other.

    Raises:
        Unreadable: its Secret cannot be read, and no other Prometheus is named.

    """
    if options.prometheus:
        # One's own Prometheus may need no Secret, and a team may not be allowed to read it.
        spec = query.spec
        with suppress(ProviderError):
            spec = await sampler.spec_of(query)
        return replace(spec, address=options.prometheus)
    try:
        return await sampler.spec_of(query)
    except ProviderError as error:
        raise Unreadable(f"metric {query.metric.name}: {error}; or give --prometheus") from error
