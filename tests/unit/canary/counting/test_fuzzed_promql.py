"""PromQL as nobody writes it: it is read, or it is refused by the one error that says why."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.counting import bounds
from canary.counting.apart import tells_apart
from canary.counting.derive import Quantile, Ratio, derive
from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.mending import for_canary, for_stable
from canary.counting.narrowing import RunPods, narrowed, scope
from canary.counting.per_pod import per_pod
from canary.counting.reads import reads_of
from canary.counting.series import Series, merged
from canary.counting.shortening import shortened
from canary.counting.versions import Reads, Version, Versions, read_by
from canary.counting.zeros import completed
from canary.measuring.countable import countable
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from canary.queries.own import Past, late_texts, own_texts, window_of
from canary.queries.sides import sides
from canary.queries.templates import TemplateError, TemplateValues, render
from canary.queries.worn import unworn_text
from tests.fakes.fuzzed import Property, cut_or_changed

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
VERSIONS: Final = Versions(
    namespace="prod",
    canary=Version(workload="web-canary", service="shop-canary"),
    stable=Version(workload="web", service="shop"),
)
PODS: Final = RunPods(
    names=("web-canary-5d9f7c8b9d-aaaaa", "web-canary-5d9f7c8b9d-bbbbb"),
    stable="web-6c8d9f7b5d-ccccc",
    former="web-canary-7f7f7f7f7f-ddddd",
)
PAST: Final = Past(
    former_until=NOW - timedelta(minutes=2),
    traffic_since=NOW - timedelta(minutes=1),
    pods=PODS,
    scrape=timedelta(seconds=15),
    recorded=timedelta(minutes=5),
)
VALUES_OF: Final = TemplateValues(
    name="web",
    namespace="prod",
    workload="web-canary",
    baseline="web",
    service="shop",
    backend="shop-canary",
    interval=timedelta(minutes=1),
    variables={"a": "b", "q": '"x'},
)

# --- texts by the grammar -------------------------------------------------------------------------

METRICS: Final = st.sampled_from(
    [
        "requests_total",
        "http_requests_total",
        "latency_bucket",
        "errors_total",
        "job:x:rate5m",
        "up",
    ]
)
LABELS: Final = st.sampled_from(
    [
        "pod",
        "app",
        "namespace",
        "status",
        "code",
        "le",
        "service",
        "kubernetes_pod_name",
        "instance",
    ]
)
WORDS: Final = st.sampled_from(
    [
        *("web", "web-canary", "web-.*", "web-canary-.*", "web-[0-9a-z]+(-[0-9a-z]+)?", "shop"),
        *("shop-canary", "prod_shop-canary_80", "5..", "200", ".+", "", "(web|web-canary)-.+", "("),
        *(r"\\d+", "a{1000}", "+Inf", "0.5", "{{ target }}", "{{ baseline }}", "(?i)WEB", "é"),
    ]
)
DURATIONS: Final = st.sampled_from(["1m", "5m", "30s", "1h30m", "0s", "1ms", "9y", "1d", "99999y"])
NUMBERS: Final = st.sampled_from(
    ["0", "1", "100", "0.99", "1e3", "1e300", "Inf", "NaN", "0x1F", "1_0", ".5", "-1", "1e-20"]
)
MATCHERS: Final = st.builds(
    "{}{}{}{}{}".format,
    LABELS,
    st.sampled_from(["=", "=~", "!=", "!~"]),
    st.just('"'),
    WORDS,
    st.just('"'),
)
SELECTORS: Final = st.builds(
    lambda name, conditions: f"{name}{{{','.join(conditions)}}}",
    METRICS | st.just(""),
    st.lists(MATCHERS, max_size=4),
)
SHIFTS: Final = st.sampled_from(
    ["", "", "", " offset 5m", " offset -1h", " @ 1609746000", " @ end()"]
)
RANGED: Final = st.builds("{}[{}]{}".format, SELECTORS, DURATIONS, SHIFTS)
RATES: Final = st.builds(
    "{}({})".format,
    st.sampled_from(["rate", "irate", "increase", "delta", "sum_over_time", "absent_over_time"]),
    RANGED,
)
GROUPS: Final = st.sampled_from(
    ["", "", " by (le)", " by (pod)", " by (app, le)", " without (pod)"]
)


def _more(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    summed = st.builds(
        "{}{} ({})".format,
        st.sampled_from(["sum", "sum", "sum", "avg", "max", "count", "group"]),
        GROUPS,
        below,
    )
    joined = st.builds(
        "{} {} {}".format,
        below,
        st.sampled_from(
            [*"+-*/%^", "/", "/", "or", "and", "unless", ">", "> bool", "==", "/ on(pod)", "!="]
        ),
        below,
    )
    called = st.builds(
        "{}({})".format,
        st.sampled_from(
            ["vector", "scalar", "abs", "ceil", "absent", "sort", "round", "-", "", ""]
        ),
        below,
    )
    clamped = st.builds(
        "{}({}, {})".format, st.sampled_from(["clamp_min", "clamp_max"]), below, NUMBERS
    )
    asked = st.builds(
        "{}({}, {})".format, st.sampled_from(["histogram_quantile", "topk"]), NUMBERS, below
    )
    ranged = st.builds(
        "{}(({})[{}:{}])".format,
        st.sampled_from(["rate", "max_over_time"]),
        below,
        DURATIONS,
        st.sampled_from(["", "1m"]),
    )
    return st.one_of(summed, joined, called, clamped, asked, ranged)


EXPRESSIONS: Final = st.recursive(st.one_of(RATES, RATES, SELECTORS, NUMBERS), _more, max_leaves=7)
RATIOS: Final = st.builds(
    "{} sum(rate({}{{{}}}[1m])) / sum(rate({}{{{}}}[1m])) {}".format,
    st.sampled_from(["", "100 *", "1 -", "100 - 100 *"]),
    METRICS,
    st.lists(MATCHERS, min_size=1, max_size=4).map(",".join),
    METRICS,
    st.lists(MATCHERS, max_size=3).map(",".join),
    st.sampled_from(["", "> 0", "or vector(0)", "* 100"]),
)
REPEATED: Final = st.builds(
    lambda part, times: part * times,
    st.sampled_from(
        ["(", "-", "sum(", "a+", 'a{b=~".*"} or ', "[", "'", "a^", "a{", "#\n", "é", " "]
    ),
    st.integers(1, 5_000),
)
TEXTS: Final = st.one_of(
    EXPRESSIONS,
    RATIOS,
    cut_or_changed(EXPRESSIONS | RATIOS),
    REPEATED,
    st.text(max_size=60),
)

# --- what holds of each ---------------------------------------------------------------------------


def _tasks(text: str) -> Iterator[Callable[[], object]]:
    """Everything that is worked out of a text and may refuse it."""
    yield lambda: bounds.check(text)
    yield lambda: parsed(text)
    yield lambda: reads_of(text)
    yield lambda: narrowed(text, PODS)
    yield lambda: [scope(one, PODS) for one in reads_of(text)]
    yield lambda: shortened(text, timedelta(seconds=30))
    yield lambda: per_pod(text)
    yield lambda: window_of(text)
    bounds_of: tuple[tuple[float | None, float | None], ...] = (
        *((None, None), (99.0, None)),
        *((None, 500.0), (0.0, 1e308)),
    )
    for minimum, maximum in bounds_of:
        yield partial(derive, text, minimum=minimum, maximum=maximum)


def is_read_or_refused(text: str) -> None:
    """Nothing but the one refusal leaves what works a query out."""
    for task in _tasks(text):
        with suppress(NotCounts):
            task()


def is_always_answered(text: str) -> None:
    """What never refuses answers every text."""
    ours, theirs = for_canary(text, VERSIONS), for_stable(text, VERSIONS)
    assert read_by(ours, VERSIONS).reads in Reads
    tells_apart(ours, theirs, workload="web-canary", target="web")
    completed(text, VERSIONS.names)
    worn = (("app", ("app", "web-canary")), ("pod", ("pod", "x")))
    assert all(unworn_text("m", text, VERSIONS, worn))
    source = (SourceQuery(source="query", query=text),)
    for texts in (own_texts(source, PAST, NOW), late_texts(source, PAST, NOW)):
        assert len(texts) == 1
    metric = Metric(name="m", source=text, maximum=1.0)
    countable(metric, source, source, alone=False, gate=True)


def is_rendered_or_refused(text: str) -> None:
    """A template is rendered for both sides, or refused in words."""
    theirs = dataclasses.replace(VALUES_OF, workload="web", backend="shop")
    with suppress(TemplateError):
        render(text, VALUES_OF)
        found = sides(text, VALUES_OF, theirs)
        assert read_by(found.canary, VERSIONS).reads in {Reads.CANARY, Reads.UNKNOWN}


# --- whose series are counted ---------------------------------------------------------------------


def _series(of: str, service: str) -> Iterator[Series]:
    for name in ("requests_total", "http_requests_total", "latency_bucket", "errors_total"):
        for status in ("200", "500"):
            for le in ("0.5", "+Inf"):
                labels = {
                    "__name__": name,
                    "pod": of,
                    "kubernetes_pod_name": of,
                    "app": of.rsplit("-", 2)[0],
                    "service": service,
                    "namespace": "prod",
                    "status": status,
                    "code": status,
                    "le": le,
                }
                yield Series(labels, 1.0)


CANARYS: Final = tuple(_series(PODS.names[0], "shop-canary"))
STABLES: Final = tuple(_series(PODS.stable, "shop"))


def counts_one_version(text: str) -> None:
    """A selector that reads one version takes none of the other one's series."""
    try:
        found = derive(text, minimum=None, maximum=0.5)
    except NotCounts:
        return
    for selector in found.selectors:
        assert merged([selector])
        reads = _read_by(str(selector))
        others = {Reads.CANARY: STABLES, Reads.STABLE: CANARYS}.get(reads, ())
        assert not any(selector.accepts(one.labels) for one in others)


def counts_a_part_of_all(text: str) -> None:
    """What is bad is a request too, where both are counted under one name."""
    try:
        found = derive(text, minimum=None, maximum=0.5)
    except NotCounts:
        return
    counted = found.at(0.5) if isinstance(found, Quantile) else found
    for side in (CANARYS, STABLES):
        bad, requests = (
            sum(it) for it in zip(*(counted.role(one.labels) for one in side), strict=True)
        )
        if isinstance(found, Quantile) or _alike(found):
            assert bad <= requests


def _alike(found: Ratio) -> bool:
    """Tell whether all is counted under one name, so that nothing is taken at its word."""
    return len({one.name for one in found.selectors}) == 1


def _read_by(selector: str) -> Reads:
    return read_by(selector, VERSIONS).reads


PROPERTIES: Final[dict[str, Property[Any]]] = {
    "read": Property(TEXTS, is_read_or_refused, few=140),
    "answered": Property(TEXTS, is_always_answered, few=90),
    "rendered": Property(TEXTS, is_rendered_or_refused, few=60),
    "counted": Property(RATIOS | EXPRESSIONS, counts_one_version, few=90),
    "part": Property(RATIOS | EXPRESSIONS, counts_a_part_of_all, few=90),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_query_is_read_or_refused(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_queries_are_read_or_refused(what: str) -> None:
    PROPERTIES[what].try_many()
