"""The only list of concrete adapters: what stands behind each port in this release."""

import importlib.util
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE, Guard
from analyzer.alerts.discord import Discord
from analyzer.alerts.gchat import GoogleChat
from analyzer.alerts.msteams import Teams
from analyzer.alerts.rocket import Rocket
from analyzer.alerts.slack import Slack
from analyzer.deriving.process import open_deriver
from analyzer.fetching import Fetcher
from analyzer.hooks.http import HttpHookCaller
from analyzer.metric_providers.datadog import DatadogProvider
from analyzer.metric_providers.dynatrace import DynatraceProvider
from analyzer.metric_providers.externalmetrics import ExternalMetrics
from analyzer.metric_providers.graphite import GraphiteProvider
from analyzer.metric_providers.influxdb import InfluxdbProvider
from analyzer.metric_providers.keptn import Keptn
from analyzer.metric_providers.newrelic import NewRelicProvider
from analyzer.metric_providers.prometheus.joint import open_joint
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.metric_providers.splunk.provider import Splunk
from analyzer.metric_providers.stackdriver.identity import Identity
from analyzer.metric_providers.stackdriver.provider import Stackdriver
from analyzer.pod_pages.scraper import open_scraper
from analyzer.ports import (
    AlertService,
    Cluster,
    Deriver,
    HistorySource,
    HookCaller,
    MetricProvider,
    NotInstalled,
    Provider,
    Router,
    SampleSource,
    Scraper,
    SeriesSource,
)
from analyzer.posting import Poster
from analyzer.routers.adopted import nobody
from analyzer.routers.chosen import Chosen
from analyzer.routers.kinds import WATCHED
from analyzer.routers.let_in import Places, nowhere
from canary.model.values import Json
from canary.queries.provider import GRAPHITE, PROMETHEUS
from canary.routes.nginx import PREFIX
from runtime.heard import Readable
from runtime.resources import Resource

ROUTES: Final[tuple[Resource, ...]] = tuple(WATCHED.values())
"""The kinds of routes that the router writes, or writes beside, to be watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """One of each, open.

    `providers` are by the type that a MetricTemplate names, `alerts` by that of an AlertProvider.
    `admins_hooks` calls what the admin names.
    """

    router: Router
    providers: Mapping[str, Provider]
    scraper: Scraper
    hooks: HookCaller
    admins_hooks: HookCaller
    alerts: Mapping[str, AlertService]
    deriver: Deriver

    @property
    def metrics(self) -> dict[str, MetricProvider]:
        """What answers queries, by provider type."""
        return {name: one.metrics for name, one in self.providers.items()}

    @property
    def series(self) -> dict[str, SeriesSource]:
        """What has raw counters, by provider type."""
        return {name: one.series for name, one in self.providers.items() if one.series}

    @property
    def histories(self) -> dict[str, HistorySource]:
        """What has the past of raw counters, by provider type."""
        return {name: one.history for name, one in self.providers.items() if one.history}

    @property
    def samples(self) -> dict[str, SampleSource]:
        """What has raw counters as they were scraped, by provider type."""
        return {name: one.samples for name, one in self.providers.items() if one.samples}


def router_of(
    cluster: Cluster,
    ingress_prefix: str = PREFIX,
    marked: Places = nowhere,
    reads: Readable | None = None,
    wrote: Callable[[Json], None] = nobody,
) -> Router:
    """Return what splits traffic; it holds nothing open.

    Args:
        cluster: the API server.
        ingress_prefix: what the annotations of ingress-nginx begin with.
        marked: tells which routes carry a target's split, as far as it is heard of.
        reads: what is read where it need not be what is stored this very moment.
        wrote: is told of each version of a route that was written here, once it is all right.

    """
    return Chosen(cluster, ingress_prefix, marked, reads, wrote=wrote)


def services(poster: Poster) -> dict[str, AlertService]:
    """Return the chat services by the type of an AlertProvider; they hold nothing open."""
    return {
        "slack": Slack(poster),
        "msteams": Teams(poster),
        "discord": Discord(poster),
        "rocket": Rocket(poster),
        "gchat": GoogleChat(poster),
    }


def vendors(fetcher: Fetcher) -> dict[str, MetricProvider]:
    """Return the metrics services that are asked over plain HTTP; they hold nothing open."""
    return {
        "datadog": DatadogProvider(fetcher),
        "newrelic": NewRelicProvider(fetcher),
        GRAPHITE: GraphiteProvider(fetcher),
        "influxdb": InfluxdbProvider(fetcher),
        "dynatrace": DynatraceProvider(fetcher),
    }


def clouds(
    fetcher: Fetcher, cluster: Cluster, variables: Mapping[str, str], *, cross_namespace: bool
) -> dict[str, MetricProvider]:
    """Return what is asked by somebody's identity: that of a Secret, or the analyzer's own.

    Args:
        fetcher: asks what teams name.
        cluster: the API server, which has metrics of others.
        variables: the environment, by which a cloud tells a pod who it is.
        cross_namespace: whether a Canary may name what is in another namespace.

    """
    # What Google's own libraries read. The admin names it, so that it may be link-local.
    itself = Identity(Fetcher(EVERYWHERE), variables.get("GCE_METADATA_HOST", ""))
    return {
        "cloudwatch": _cloudwatch(fetcher),
        "stackdriver": Stackdriver(fetcher, itself),
        "splunk": Splunk(fetcher),
        "keptn": Keptn(cluster, cross_namespace=cross_namespace),
        "externalmetrics": ExternalMetrics(fetcher, cluster, cross_namespace=cross_namespace),
    }


def _cloudwatch(fetcher: Fetcher) -> MetricProvider:
    """Return CloudWatch where AWS' own library is there, which is an extra."""
    if importlib.util.find_spec("botocore") is None:
        return NotInstalled("cloudwatch")
    # Its import takes a third of a second, and fails without the extra.
    from analyzer.metric_providers.cloudwatch.credentials import OfThePod  # noqa: PLC0415
    from analyzer.metric_providers.cloudwatch.provider import CloudWatch  # noqa: PLC0415

    return CloudWatch(fetcher, OfThePod())


@asynccontextmanager
async def open_adapters(
    cluster: Cluster,
    guard: Guard,
    metrics_server: str,
    *,
    cross_namespace: bool,
    registry: CollectorRegistry,
    router: Router,
) -> AsyncIterator[Adapters]:
    """Open what the daemon needs, and close it in the end.

    Args:
        cluster: the API server.
        guard: says which addresses may be asked where a team names them.
        metrics_server: the one that the admin names.
        cross_namespace: whether a Canary may name what is in another namespace.
        registry: where they count what they ask.
        router: what splits traffic.

    """
    fetcher = Fetcher(guard)
    others = vendors(fetcher) | clouds(
        fetcher, cluster, os.environ, cross_namespace=cross_namespace
    )
    prometheus = PrometheusProvider(guard, trusted=metrics_server)
    try:
        async with (
            open_scraper() as scraper,
            open_deriver() as deriver,
            open_joint(prometheus, deriver, registry) as joint,
        ):
            yield Adapters(
                router=router,
                providers={
                    PROMETHEUS: Provider(
                        metrics=joint,
                        series=prometheus,
                        history=prometheus,
                        samples=joint,
                    ),
                    **{name: Provider(metrics=it) for name, it in others.items()},
                },
                scraper=scraper,
                hooks=HttpHookCaller(guard),
                admins_hooks=HttpHookCaller(EVERYWHERE),
                alerts=services(Poster(guard)),
                deriver=deriver,
            )
    finally:
        await prometheus.aclose()
