"""What of `spec.service` no API server would take, of a Service or of a route that is made.

Without it the team would hear of it from a write that is denied, once its next version is held.
"""

import re
from collections.abc import Iterator
from typing import Final

from canary.counting.patterns import PatternError, check
from canary.durations import parse_duration
from canary.model.strategy import GatewayRoute, ProxyRoute
from canary.model.values import Json
from canary.routes.from_service import asked_route
from canary.spec import parsers
from canary.spec.parsers import shown
from canary.spec.problems import Problems

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A Service's name, and a part of a host's (RFC 1123)."""
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL.pattern}(\.{_LABEL.pattern})*")
_NUMBERS: Final = re.compile(r"[0-9.]+")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
"""As Kubernetes takes one: RFC 6335, section 5.1."""
_TIMEOUT: Final = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
"""A duration of the Gateway API (GEP-2257)."""
_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
_REWRITES: Final = ("ReplaceFullPath", "ReplacePrefixMatch")


def strange_service(spec: Json) -> list[str]:
    """Say what is wrong with a Canary's service, and how to mend it.

    Args:
        spec: `spec` of a Canary.

    """
    service, provider = spec.get("service") or {}, spec.get("provider", "")
    problems = Problems(found=[*_strange_names(service)])
    problems.read("service.port", parsers.port, service.get("port"), 0)
    if isinstance(target := service.get("targetPort"), int | float) and target:
        problems.read("service.targetPort", parsers.port, target, 0)
    own = asked_route(service, spec["targetRef"]["name"], provider)
    if isinstance(own, GatewayRoute):
        problems.found += [
            *_strange_hosts(own),
            *_strange_times(service),
            *_strange_rewrite(service),
        ]
    if isinstance(own, GatewayRoute | ProxyRoute):
        problems.found += [*_strange_matches(service)]
    return problems.found


def _strange_names(service: Json) -> Iterator[str]:
    name, target = service.get("name") or "", service.get("targetPort") or ""
    if name and not _LABEL.fullmatch(name):
        yield f"service.name: no Service can be called {shown(name)}; write the name of yours"
    if isinstance(target, str) and target and not _PORT_NAME.fullmatch(target):
        yield f"service.targetPort: {shown(target)} is neither a port nor the name of one"


def _strange_hosts(own: GatewayRoute) -> Iterator[str]:
    for host in own.hosts:
        if not _HOST.fullmatch(host) or _NUMBERS.fullmatch(host):
            yield (
                f"service.hosts: {shown(host)} is no name of a host that a route of the Gateway "
                "API takes; write one as web.example or *.example"
            )


def _strange_times(service: Json) -> Iterator[str]:
    times = {}
    for field in ("timeout", "backendTimeout"):
        if said := service.get(field):
            if _TIMEOUT.fullmatch(said):
                times[field] = parse_duration(said)
            else:
                yield f"service.{field}: {shown(said)} is no duration; write it as 15s or 1m30s"
    whole, each = times.get("timeout"), times.get("backendTimeout")
    if whole and each and each > whole:
        yield "service.backendTimeout: is longer than the timeout, which holds for all tries"


def _strange_rewrite(service: Json) -> Iterator[str]:
    rewrite = service.get("rewrite") or {}
    if rewrite.get("uri") and (kind := rewrite.get("type") or _REWRITES[0]) not in _REWRITES:
        yield f"service.rewrite.type: {shown(kind)} is not one of {', '.join(_REWRITES)}"
    if (name := rewrite.get("authority") or "") and not _HOST.fullmatch(name):
        yield f"service.rewrite.authority: {shown(name)} is no name of a host"


def _strange_matches(service: Json) -> Iterator[str]:
    for at, entry in enumerate(service.get("match") or ()):
        where = f"service.match[{at}]"
        yield from _strange_paths(f"{where}.uri", entry.get("uri") or {})
        method = (entry.get("method") or {}).get("exact")
        if method and method not in _METHODS:
            yield f"{where}.method: {shown(method)} is none of {', '.join(sorted(_METHODS))}"
        for field in ("headers", "queryParams"):
            for name, test in (entry.get(field) or {}).items():
                if "regex" in test:
                    yield from _strange_pattern(f"{where}.{field}.{name}", test["regex"])


def _strange_paths(where: str, uri: Json) -> Iterator[str]:
    for how, path in uri.items():
        if how == "regex":
            yield from _strange_pattern(f"{where}.regex", path)
        elif not path.startswith("/"):
            yield f"{where}.{how}: {shown(path)} is no path; it begins with /"


def _strange_pattern(where: str, pattern: str) -> Iterator[str]:
    try:
        check(pattern)
    except PatternError as error:
        yield f"{where}: {error}"
