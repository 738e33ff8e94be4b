"""From a `Canary` object to a strategy that can be followed, or to every reason why not."""

from collections.abc import Container, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, count
from typing import Final

from canary.contract import PROMOTION_GATE
from canary.model.keys import unknown_on_canary
from canary.model.strategy import (
    Builtin,
    InvalidStrategy,
    Metric,
    Strategy,
    TemplateRef,
)
from canary.model.values import FULL, Json
from canary.routes.from_service import CONTOUR, ISTIO, LINKERD, TRAEFIK, asked_route, unsaid
from canary.routes.nginx import NGINX, never_carried
from canary.routes.parents import never_copied
from canary.routes.refused import refused_provider, refused_reference
from canary.spec import parsers
from canary.spec.alerts import heard_by
from canary.spec.annotations import annotated
from canary.spec.defaults import Defaults, completed, leaves_open
from canary.spec.hooks import hooks_of, listeners_of
from canary.spec.made import Whose, former_defaults, whose
from canary.spec.problems import Problems
from canary.spec.service import strange_service
from canary.spec.settings import Tuning, tuned
from canary.spec.strategies import KUBERNETES, Course, course

__all__ = ["Defaults", "parse_strategy"]

_GATEWAY_API: Final = ("HTTPRoute", "GRPCRoute")
_ROUTED: Final = "the Gateway API, Contour, Istio, Traefik and ingress-nginx"
PROVIDERS: Final = {
    "": (),
    KUBERNETES: (),
    CONTOUR: ("HTTPProxy",),
    ISTIO: ("VirtualService",),
    TRAEFIK: ("IngressRoute", "TraefikService"),
    LINKERD: _GATEWAY_API,
    NGINX: ("Ingress",),
    "gatewayapi:v1": _GATEWAY_API,
    "gatewayapi:v1beta1": _GATEWAY_API,
}
"""Kinds of routes by value of `spec.provider`; with none, whatever leads to the Service."""
MOST_FAILURES: Final = 2**31 - 1
"""Failed checks: more than any run has, and what a status can hold."""
DEFAULT_LEEWAY = 0.25
"""How far above the stable's own latency, as a share, a canary by the default metrics may be."""


_UNUSED_SERVICE_FIELDS: Final = (
    "retries",
    "mirror",
    "corsPolicy",
    "trafficPolicy",
    "apex",
    "primary",
    "canary",
    "backends",
    "gateways",
    "delegation",
    "meshName",
    "trafficDistribution",
    "unmanagedMetadata",
)

_USED_BY: Final = {
    CONTOUR: frozenset({"retries"}),
    ISTIO: frozenset({"retries", "corsPolicy", "trafficPolicy", "gateways", "delegation"}),
}
"""Those of them that an own route takes, by value of `spec.provider`."""


def parse_strategy(canary: Json, defaults: Defaults) -> Strategy | InvalidStrategy:
    """Read and check a Canary object.

    Args:
        canary: the object as the API server stores it.
        defaults: the admin's, as they were when the run began. All of them hold where the Canary
            leaves its analysis open, else `min_interval` and `tuning` alone.

    """
    spec, problems = canary["spec"], Problems()
    said, defaults = _said(canary, defaults)
    follows = leaves_open(said)
    analysis = completed(said, defaults) if follows else said
    problems.found += _unsupported(spec)
    interval = problems.read(
        "analysis.interval", parsers.duration, analysis.get("interval"), timedelta(minutes=1)
    )
    namespace = canary["metadata"].get("namespace", "")
    usual = follows and "metrics" not in said
    metrics = _metrics(analysis, namespace, problems, usual=usual)
    tuning = annotated(canary, problems, defaults.tuning)
    service = spec.get("service") or {}
    interval = max(interval, defaults.min_interval)
    taken = course(spec, analysis, problems, interval=interval, by_pods=tuning.by_pods)
    problems.found += _unsaid(spec, taken)
    strategy = Strategy(
        interval=interval,
        threshold=_threshold(analysis, problems),
        steps=taken.steps,
        kind=taken.kind,
        unrouted=taken.unrouted,
        back=taken.back,
        metrics=metrics,
        hooks=hooks_of(analysis, problems),
        alerts=heard_by(canary, defaults.alerts),
        listeners=listeners_of(canary, defaults.event_webhook),
        service_name=service.get("name") or spec["targetRef"]["name"],
        service_port=service.get("port"),
        target_port=service.get("targetPort") or service.get("port"),
        any_service=follows and not service,
        canary=_own_name(canary),
        own_route=asked_route(service, spec["targetRef"]["name"], spec.get("provider", "")),
        routed_by=PROVIDERS.get(spec.get("provider", ""), ()),
        ingress=_ingress(spec),
        progress_deadline=_deadline(spec, problems),
        ready_percent=_ready_percent("canaryReadyThreshold", analysis, problems, usual=FULL),
        stable_ready_percent=_ready_percent("primaryReadyThreshold", analysis, problems, usual=0),
        skip_analysis=bool(spec.get("skipAnalysis")),
        suspended=bool(spec.get("suspend")),
        provider=spec.get("provider") or "",
        metrics_server=spec.get("metricsServer") or "",
        health_is_enough=usual,
        ignored=_ignored(spec),
        unknown=(
            *unknown_on_canary(canary["metadata"].get("annotations") or {}),
            *taken.passed_over,
            *_not_asked(analysis),
        ),
    )
    if problems.found:
        return InvalidStrategy(
            problems=tuple(problems.found), alerts=strategy.alerts, listeners=strategy.listeners
        )
    return tuned(_without_gate(strategy, canary, tuning), tuning)


def _without_gate(strategy: Strategy, canary: Json, tuning: Tuning) -> Strategy:
    """Say of a gate that the Canary asks for itself that its strategy has nothing to show it by."""
    annotations = canary["metadata"].get("annotations") or {}
    if strategy.is_compared or not tuning.gate or PROMOTION_GATE not in annotations:
        return strategy
    said = f"{PROMOTION_GATE} (the stable serves nothing like what its canary answers)"
    return replace(strategy, unknown=(*strategy.unknown, said))


def _own_name(canary: Json) -> str:
    name = canary["metadata"].get("name", "")
    return "" if name == canary["spec"]["targetRef"]["name"] else str(name)


def _deadline(spec: Json, problems: Problems) -> timedelta:
    where, said = "progressDeadlineSeconds", spec.get("progressDeadlineSeconds") or None
    return problems.read(where, parsers.seconds, said, timedelta(seconds=600))


def _threshold(analysis: Json, problems: Problems) -> int:
    """Read how many failed checks refuse a version; as in Flagger, 0 and less count as 1."""
    said = analysis.get("threshold") or 1
    if said != int(said):
        problems.found.append(f"analysis.threshold: {said:g} must be a whole number, as in 5")
    return min(max(1, int(said)), MOST_FAILURES)


def _ready_percent(where: str, analysis: Json, problems: Problems, *, usual: int) -> int:
    share = parsers.whole(0, FULL, such_as="80")
    return problems.read(f"analysis.{where}", share, analysis.get(where), usual)


def _said(canary: Json, defaults: Defaults) -> tuple[Json, Defaults]:
    """Return what a Canary says of its analysis, and the defaults for the rest.

    One that the release before made says the defaults of its time, which are no team's word.
    """
    if whose(canary) is Whose.FORMER:
        return {}, former_defaults(canary, defaults)
    return canary["spec"].get("analysis") or {}, defaults


def _unsupported(spec: Json) -> list[str]:
    """Name what would change a verdict and is not there yet: never pass over it in silence."""
    return [*_strange_target(spec), *_strange_routing(spec), *strange_service(spec)]


def _strange_target(spec: Json) -> list[str]:
    found = []
    if spec["targetRef"].get("kind", "Deployment") != "Deployment":
        found.append(f"targetRef.kind {spec['targetRef']['kind']}: only Deployment can be gated")
    if spec.get("autoscalerRef", {}).get("kind") == "ScaledObject":
        found.append("autoscalerRef: a KEDA ScaledObject is not supported yet; remove it")
    return found


def _strange_routing(spec: Json) -> list[str]:
    provider, service = spec.get("provider", ""), spec.get("service") or {}
    found = [
        f"{name}: {refused_reference(name)}; remove it"
        for name in ("routeRef", "upstreamRef")
        if spec.get(name)
    ]
    if provider not in PROVIDERS:
        said = refused_provider(provider) or f"only {_ROUTED} are routed"
        found.append(f"provider {provider}: {said}; remove it")
    if provider == NGINX and not _ingress(spec):
        said = "needs the name of the Ingress that leads to the Service, in ingressRef.name"
        found.append(f"provider {provider}: {said}")
    if provider != NGINX and spec.get("ingressRef"):
        found.append(f"ingressRef: is followed with provider {NGINX} alone; set it, or remove this")
    return [*found, *unsaid(service, spec["targetRef"]["name"], provider)]


def _ingress(spec: Json) -> str:
    """Return the name of the one Ingress that is split, "" where none is named."""
    return str((spec.get("ingressRef") or {}).get("name") or "")


def _unsaid(spec: Json, taken: Course) -> tuple[str, ...]:
    """Say which traffic of its steps what its provider names never carries, each reason once."""
    never = {NGINX: never_carried, LINKERD: never_copied}.get(spec.get("provider", ""))
    if never is None:
        return ()
    found = (never(step.traffic) for step in taken.steps)
    return tuple(dict.fromkeys(filter(None, found)))


def _ignored(spec: Json) -> tuple[str, ...]:
    """Name what is passed over because it changes no verdict; a run says so when it starts."""
    service = spec.get("service") or {}
    used = _USED_BY.get(spec.get("provider", ""), frozenset())
    unused = spec.get("provider") == NGINX and service.get("gatewayRefs")
    fields = {
        "revertOnDeletion": spec.get("revertOnDeletion"),
        "service.gatewayRefs": unused,
        **{
            f"service.{name}": service.get(name)
            for name in _UNUSED_SERVICE_FIELDS
            if name not in used
        },
    }
    return tuple(name for name, value in fields.items() if value)


def _metrics(
    analysis: Json, namespace: str, problems: Problems, *, usual: bool
) -> tuple[Metric, ...]:
    found: dict[str, Metric] = {}
    for entry in analysis.get("metrics") or ():
        metric = _metric(entry, namespace, problems, usual=usual)
        if metric is not None:
            name = _told_apart(metric.name, found)
            found[name] = replace(metric, name=name)
    return tuple(found.values())


def _not_asked(analysis: Json) -> Iterator[str]:
    """Name what stands beside what is asked in a metric, and is not."""
    for entry in analysis.get("metrics") or ():
        where, ref, query = f"metric {entry['name']}", entry.get("templateRef"), entry.get("query")
        if ref and query:
            yield f"{where}: query (its templateRef is asked)"
        if (ref or query) and entry["name"] in set(Builtin):
            yield f"{where}: the built-in of this name (its own query is asked)"
        if not (ref or query) and entry.get("templateVariables"):
            yield f"{where}: templateVariables (a built-in has none)"
        if entry.get("threshold") and entry.get("thresholdRange") is not None:
            yield f"{where}: threshold (its thresholdRange holds)"


def _told_apart(name: str, taken: Container[str]) -> str:
    """Return a name of its own: what is counted and measured is kept by the metric's name."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain((name,), numbered) if one not in taken)


def _metric(entry: Json, namespace: str, problems: Problems, *, usual: bool) -> Metric | None:
    name = entry["name"]
    source = _source(entry, namespace)
    if source is None:
        problems.found.append(
            f"metric {name}: needs a templateRef or a query, or one of the built-in names "
            f"{', '.join(Builtin)}"
        )
        return None
    where = f"metric {name} interval"
    interval = problems.read(where, parsers.interval, entry.get("interval"), timedelta(minutes=1))
    minimum, maximum = _bounds(entry, source)
    if minimum is not None and maximum is not None and minimum > maximum:
        problems.found.append(
            f"metric {name} thresholdRange: min {minimum:g} is above max {maximum:g}, which no "
            "value is within; swap them or leave one out"
        )
    return Metric(
        name=name,
        source=source,
        interval=interval,
        minimum=minimum,
        maximum=maximum,
        variables=entry.get("templateVariables") or {},
        leeway=DEFAULT_LEEWAY if usual and isinstance(source, Builtin) else None,
    )


def _source(entry: Json, namespace: str) -> TemplateRef | str | Builtin | None:
    if ref := entry.get("templateRef"):
        return TemplateRef(namespace=ref.get("namespace") or namespace, name=ref["name"])
    if query := entry.get("query"):
        return str(query)
    return Builtin(entry["name"]) if entry["name"] in set(Builtin) else None


def _bounds(entry: Json, source: object) -> tuple[float | None, float | None]:
    """Read thresholdRange, else `threshold` as Flagger does: a floor for success rate only.

    An empty range is a range without bounds: no value is outside of it.
    """
    if (bounds := entry.get("thresholdRange")) is not None:
        return bounds.get("min"), bounds.get("max")
    threshold = float(entry.get("threshold") or 0)
    return (threshold, None) if source is Builtin.SUCCESS_RATE else (None, threshold)
