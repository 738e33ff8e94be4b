"""The analyzer's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from analyzer.addresses import Network, parse_networks
from analyzer.gathering.pace import Pace
from canary.model.announcement import Severity
from canary.model.world import Timing
from canary.queries.sources import parse_sources
from canary.routes.nginx import PREFIX, parse_prefix
from canary.spec import parsers
from canary.spec.alerts import admins_alerts, parse_provider
from canary.spec.defaults import Defaults, defaults_from
from canary.spec.hooks import EVENT_WEBHOOK as EVENT_VARIABLE
from canary.spec.hooks import parse_webhook
from canary.spec.problems import Problems
from canary.spec.settings import (
    CROSS_NAMESPACE_REFS,
    DRAIN,
    METRICS_SERVER,
    PODS_INTERVAL,
    SCRAPE_INTERVAL,
)
from canary.spec.sources import Setting, environment
from runtime.settings import LOG_LEVEL, NAMESPACE, PROBES_PORT

IDENTITY: Final = Setting(
    name="identity",
    parse=parsers.text,
    default="headgate-analyzer",
    variable="POD_NAME",
    help="name of this process in the lease",
)
ALLOWED_ADDRESSES: Final[Setting[tuple[Network, ...]]] = Setting(
    name="allowed_addresses",
    parse=parse_networks,
    default=(),
    variable="HEADGATE_ALLOWED_ADDRESSES",
    help="networks that hooks and metrics servers of teams may be in though they are denied",
)
ALERT_PROVIDER: Final = Setting(
    name="alert_provider",
    parse=parse_provider,
    default="",
    variable="HEADGATE_ALERT_PROVIDER",
    help="AlertProvider that hears of Canaries without alerts of their own, as namespace/name",
)
ALERT_SEVERITY: Final = Setting(
    name="alert_severity",
    parse=parsers.member(Severity),
    default=Severity.INFO,
    variable="HEADGATE_ALERT_SEVERITY",
    help="what it hears: info is everything, warn warnings and errors, error errors",
)
CLUSTER_NAME: Final = Setting(
    name="cluster_name",
    parse=parsers.text,
    default="",
    variable="HEADGATE_CLUSTER_NAME",
    help="what alerts call the cluster, where they are of several",
)
EVENT_WEBHOOK: Final = Setting(
    name="event_webhook",
    parse=parse_webhook,
    default="",
    variable=EVENT_VARIABLE,
    help="URL that hears of the events of Canaries without event hooks of their own",
)
INGRESS_PREFIX: Final = Setting(
    name="ingress_prefix",
    parse=parse_prefix,
    default=PREFIX,
    variable="HEADGATE_INGRESS_ANNOTATIONS_PREFIX",
    help="what the annotations of ingress-nginx begin with, its own --annotations-prefix",
)
BUILTIN_SOURCES: Final[Setting[tuple[str, ...]]] = Setting(
    name="builtin_sources",
    parse=parse_sources,
    default=(),
    variable="HEADGATE_BUILTIN_SOURCES",
    help="whose series built-in metrics are read from before others, as in traefik,app",
)
TABLE: Final = (
    IDENTITY,
    NAMESPACE,
    PROBES_PORT,
    LOG_LEVEL,
    ALLOWED_ADDRESSES,
    CROSS_NAMESPACE_REFS,
    ALERT_PROVIDER,
    ALERT_SEVERITY,
    CLUSTER_NAME,
    EVENT_WEBHOOK,
    INGRESS_PREFIX,
    BUILTIN_SOURCES,
)
"""What is read beside the table of a run's settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifests configure.

    `identity` names this process in the lease; `metrics_server` is the Prometheus that is asked
    where a Canary names none, and `allowed_addresses` are networks in which what a team names may
    be though it is denied elsewhere. With `cross_namespace_refs` a Canary may name a MetricTemplate
    or AlertProvider of another namespace. `ingress_prefix` is what the annotations of ingress-nginx
    begin with, and `cluster_name` what alerts call the cluster. `builtin_sources` are those whose
    series of built-in metrics are asked for first.
    """

    identity: str = IDENTITY.default
    namespace: str = NAMESPACE.default
    probes_port: int = PROBES_PORT.default
    log_level: str = LOG_LEVEL.default
    metrics_server: str = METRICS_SERVER.default
    allowed_addresses: tuple[Network, ...] = ALLOWED_ADDRESSES.default
    cross_namespace_refs: bool = CROSS_NAMESPACE_REFS.default
    cluster_name: str = CLUSTER_NAME.default
    ingress_prefix: str = INGRESS_PREFIX.default
    builtin_sources: tuple[str, ...] = BUILTIN_SOURCES.default
    defaults: Defaults = Defaults()
    timing: Timing = Timing()
    pace: Pace = Pace()


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: values cannot be read; the message names every such variable, its value and
            how to mend it.

    """
    problems = Problems()
    get = environment(variables, problems).value
    settings = Settings(
        identity=get(IDENTITY),
        namespace=get(NAMESPACE),
        probes_port=get(PROBES_PORT),
        log_level=get(LOG_LEVEL),
        metrics_server=get(METRICS_SERVER),
        allowed_addresses=get(ALLOWED_ADDRESSES),
        cross_namespace_refs=get(CROSS_NAMESPACE_REFS),
        cluster_name=get(CLUSTER_NAME),
        ingress_prefix=get(INGRESS_PREFIX),
        builtin_sources=get(BUILTIN_SOURCES),
        defaults=replace(
            defaults_from(variables, problems),
            alerts=admins_alerts(get(ALERT_PROVIDER), get(ALERT_SEVERITY)),
            event_webhook=get(EVENT_WEBHOOK),
        ),
        timing=Timing(drain=get(DRAIN)),
        pace=Pace(pods=get(PODS_INTERVAL), server=get(SCRAPE_INTERVAL)),
    )
    problems.check()
    return settings
