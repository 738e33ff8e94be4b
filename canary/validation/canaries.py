"""A Canary as its team writes it: what the analyzer would hold the next version for, and more."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from canary.durations import format_duration
from canary.model.strategy import Builtin, InvalidStrategy, Metric, Strategy, not_followed
from canary.model.values import FULL, Json, Key
from canary.queries.metric import values_of
from canary.queries.templates import TemplateValues
from canary.spec import parsers
from canary.spec.canary import parse_strategy
from canary.spec.problems import Problems
from canary.spec.references import elsewhere
from canary.validation import queries
from canary.validation.urls import problem_with
from canary.validation.verdict import InTime, Terms, Verdict, always

_MINUTE: Final = timedelta(minutes=1)
_LATE: Final = (
    "metric {name} and those after it were not read, for it takes too long; they are read when the "
    "next version is held"
)


def check(canary: Json, terms: Terms, in_time: InTime = always) -> Verdict:
    """Judge a Canary.

    Args:
        canary: the object; its spec may lack anything.
        terms: the admin's.
        in_time: whether one more query may be read.

    """
    if not isinstance((canary["spec"].get("targetRef") or {}).get("name"), str):
        return Verdict(refused=("targetRef.name: is missing; write the name of the Deployment",))
    strategy = parse_strategy(canary, terms.defaults)
    asked = _queries(canary, strategy, terms, in_time)
    problems = strategy.problems if isinstance(strategy, InvalidStrategy) else ()
    return Verdict(
        refused=(*problems, *_addresses(canary), *_references(canary, terms), *asked.refused),
        warnings=(*not_followed(strategy), *_doubts(canary, terms), *asked.warnings),
    )


def _analysis(canary: Json) -> Json:
    return canary["spec"].get("analysis") or {}


def _addresses(canary: Json) -> Iterator[str]:
    """Yield what is wrong with addresses, without a word of them."""
    server = canary["spec"].get("metricsServer")
    if server and problem_with(str(server)):
        yield f"metricsServer {problem_with(str(server))}"
    for hook in _analysis(canary).get("webhooks") or ():
        if problem := problem_with(str(hook.get("url") or "")):
            yield f"webhook {hook.get('name')}: url {problem}"


def _references(canary: Json, terms: Terms) -> Iterator[str]:
    """Yield what is not named, or in another namespace where the admin does not allow that."""
    own, analysis = canary["metadata"].get("namespace", ""), _analysis(canary)
    for field, kind, entries in (
        ("templateRef", "MetricTemplate", analysis.get("metrics")),
        ("providerRef", "AlertProvider", analysis.get("alerts")),
    ):
        for entry in entries or ():
            ref = entry.get(field) or {}
            where = f"{'metric' if field == 'templateRef' else 'alert'} {entry['name']}"
            if ref and not ref.get("name"):
                yield f"{where}: {field}.name is empty; write the name of the {kind}"
            elif ref.get("namespace") not in {None, "", own} and not terms.cross_namespace:
                said = elsewhere(f"{kind} {ref['namespace']}/{ref['name']}", own)
                yield f"{where}: {said}"


def _doubts(canary: Json, terms: Terms) -> Iterator[str]:
    """Yield what counts as something else than is written."""
    analysis, least = _analysis(canary), terms.defaults.min_interval
    written = analysis.get("interval")
    interval = Problems().read("", parsers.duration, written, least)
    if interval < least:
        yield f"analysis.interval: {written} counts as {format_duration(least)}, the admin's least"
    shares = {name: (analysis.get(name),) for name in ("stepWeight", "maxWeight")}
    shares["stepWeights"] = tuple(analysis.get("stepWeights") or ())
    for name, values in shares.items():
        if any(isinstance(one, int | float) and one > FULL for one in values):
            yield f"analysis.{name}: more than {FULL} counts as {FULL}; write {FULL} or less"
    for entry in analysis.get("metrics") or ():
        if said := _doubtful_bound(entry):
            yield f"metric {entry['name']}: {said}"
    yield from _dropped_cookies(analysis.get("sessionAffinity") or {})


def _doubtful_bound(entry: Json) -> str:
    """Say of a metric that no value fails it, or each; "" where some do."""
    rate = entry["name"] == Builtin.SUCCESS_RATE and not (
        entry.get("templateRef") or entry.get("query")
    )
    bounds = entry.get("thresholdRange")
    if bounds is None and not entry.get("threshold"):
        if rate:
            return "has no threshold, so that no value fails it; write one, such as 99"
        return "has no thresholdRange, so that every value above 0 fails it; write its max or min"
    least, most = (entry.get("threshold"), None) if bounds is None else _ends(bounds)
    if least is None and most is None:
        return "its thresholdRange has neither min nor max, so that no value fails it; write one"
    if rate and least is not None and least > FULL:
        return f"asks for more than {FULL} percent, so that every value fails it"
    return ""


def _ends(bounds: Json) -> tuple[float | None, float | None]:
    return bounds.get("min"), bounds.get("max")


def _dropped_cookies(affinity: Json) -> Iterator[str]:
    """Say which cookies no browser keeps (RFC 6265bis, 5.7; CHIPS for Partitioned)."""
    if affinity.get("secure"):
        return
    for name, asked in (
        ("sameSite: None", affinity.get("sameSite") == "None"),
        ("partitioned: true", affinity.get("partitioned")),
    ):
        if asked:
            yield (
                f"analysis.sessionAffinity: with {name} browsers keep no cookie that is not "
                "secure; write secure: true"
            )


def _queries(
    canary: Json, strategy: Strategy | InvalidStrategy, terms: Terms, in_time: InTime
) -> Verdict:
    """Judge the queries that stand in the Canary itself."""
    refused, warnings = list[str](), list[str]()
    for entry in _analysis(canary).get("metrics") or ():
        if entry.get("templateRef") or not entry.get("query"):
            continue
        if not in_time():
            warnings.append(_LATE.format(name=entry["name"]))
            break
        found = _query(canary, entry, strategy, terms)
        refused += [f"metric {entry['name']}: {one}" for one in found.refused]
        warnings += [f"metric {entry['name']}: {one}" for one in found.warnings]
    return Verdict(refused=tuple(refused), warnings=tuple(warnings))


def _query(
    canary: Json, entry: Json, strategy: Strategy | InvalidStrategy, terms: Terms
) -> Verdict:
    text, (own, stable) = str(entry["query"]), _values(canary, entry)
    found = queries.parses(text, own, terms)
    # What is wrong elsewhere may be what the names in it come from.
    if found.refused or found.warnings or isinstance(strategy, InvalidStrategy):
        return found
    return queries.of_canary(text, own, stable)


def _values(canary: Json, entry: Json) -> tuple[TemplateValues, TemplateValues]:
    """Return what a query's actions stand for, whatever else of the Canary is wrong."""
    spec, where = canary["spec"], f"metric {entry['name']} interval"
    key = Key(namespace=canary["metadata"].get("namespace", ""), name=spec["targetRef"]["name"])
    metric = Metric(
        name=entry["name"],
        source=str(entry["query"]),
        interval=Problems().read(where, parsers.duration, entry.get("interval"), _MINUTE),
        variables=entry.get("templateVariables") or {},
    )
    service = (spec.get("service") or {}).get("name") or key.name
    ingress = str((spec.get("ingressRef") or {}).get("name") or "")
    name = canary["metadata"].get("name", "")
    return values_of(key, service, metric, canary=name, ingress=ingress)
