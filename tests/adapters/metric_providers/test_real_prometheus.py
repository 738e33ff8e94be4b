"""The built-in queries and the provider against a real Prometheus that scrapes a local exposition.

The exposition's counters grow with each scrape, so that rates have a value after two of them.
"""

import asyncio
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE
from analyzer.loop.beginnings import Beginning, Beginnings
from analyzer.loop.emptiness import look_into
from analyzer.metric_providers.prometheus.joint import open_joint
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import AtOnce, ProviderError
from canary.counting.dealing import Ranged, dealt, ranged, written
from canary.counting.dealing import joined as joined_ranges
from canary.counting.joining import joinable, joined, part_of
from canary.counting.mending import for_canary, for_stable
from canary.counting.narrowing import RunPods, narrowed
from canary.counting.shortening import shortened
from canary.counting.versions import Version, Versions
from canary.counting.zeros import completed
from canary.measuring.births import sampled
from canary.model.names import canary_name, pod_names
from canary.model.strategy import Builtin
from canary.queries.builtin import builtin_queries
from canary.queries.provider import ProviderSpec
from canary.queries.sources import APP, GATEWAY
from sandbox.paths import cache
from tests.adapters.metric_providers.prometheus_api import MINUTE

BINARIES = sorted(cache().glob("bin/prometheus-*/prometheus"))
WINDOW = timedelta(seconds=3)

pytestmark = [
    pytest.mark.skipif(
        not BINARIES,
        reason=f"no Prometheus in {cache()}/bin; the sandbox builds one",
    ),
    pytest.mark.timeout(60),
]


@dataclass(frozen=True)
class Backend:
    """What one workload answers: requests per scrape by status, and how long they all take.

    Its Service has the workload's name. `pods` are the names that its pods have. With `news` it
    answers so many errors per scrape that are counted by a new series each time.
    """

    pods: tuple[str, ...]
    per_scrape: dict[str, int]
    milliseconds: float = 20
    namespace: str = "prod"
    port: int = 80
    news: int = 0


LONG = "payments-reconciliation-of-foreign-accounts"
BACKENDS = {
    "good-canary": Backend(("good-canary-7d9c5b8f6d-x2x8z",), {"200": 10, "404": 1}),
    "bad-canary": Backend(("bad-canary-7d9c5b8f6d-x2x8z",), {"500": 5, "503": 5}, 400),
    "mixed-canary": Backend(
        ("mixed-canary-7d9c5b8f6d-x2x8z", "mixed-canary-7d9c5b8f6d-b7b7b"), {"200": 8, "500": 2}, 20
    ),
    # Each of its errors is on a path of its own.
    "new-canary": Backend(("new-canary-7d9c5b8f6d-x2x8z",), {"200": 10}, news=10),
    "idle-canary": Backend(("idle-canary-7d9c5b8f6d-x2x8z",), {"200": 0, "500": 0}),
    # Beside the next one, whose pods' names Kubernetes has cut, and one of another namespace.
    "web": Backend(("web-7d9c5b8f6d-x2x8z",), {"200": 10}),
    "web-canary": Backend(
        ("web-canary-7d9c5b8f6d-x2x8z", "web-canary-7d9c5bx2x8z"), {"500": 10}, 400
    ),
    "web.v2": Backend(("web.v2-7d9c5b8f6d-x2x8z",), {"200": 1, "500": 1}, port=8080),
    "webxv2": Backend(("webxv2-7d9c5b8f6d-x2x8z",), {"200": 10}),
    LONG: Backend(pod_names(LONG), {"200": 10}),
    canary_name(LONG): Backend(pod_names(canary_name(LONG)), {"200": 10}),
    "elsewhere": Backend(("good-canary-7d9c5b8f6d-x2x8z",), {"500": 10}, namespace="test"),
}
BUCKETS_MS = (5, 25, 100, 500)


def exposition(scrapes: int) -> str:
    """Return what the gateway and the applications expose after so many scrapes."""
    lines: list[str] = []
    for service, backend in BACKENDS.items():
        cluster = f'envoy_cluster_name="{backend.namespace}_{service}_{backend.port}"'
        lines += counters(
            backend, scrapes, "envoy_cluster_upstream_rq", cluster, "envoy_response_code"
        )
        lines += histogram(backend, scrapes, "envoy_cluster_upstream_rq_time", cluster, 1)
        for pod in backend.pods:
            labels = f'namespace="{backend.namespace}",kubernetes_pod_name="{pod}"'
            lines += counters(backend, scrapes, "http_requests_total", labels, "status")
            lines += histogram(backend, scrapes, "http_request_duration_seconds", labels, 1000)
    return "\n".join([*lines, ""])


def counters(backend: Backend, scrapes: int, name: str, labels: str, status: str) -> list[str]:
    return [
        f'{name}{{{labels},{status}="{code}"}} {count * scrapes}'
        for code, count in backend.per_scrape.items()
    ] + [
        f'{name}{{{labels},{status}="500",path="/{number}"}} {backend.news}'
        for number in range(scrapes if backend.news else 0)
    ]


def histogram(backend: Backend, scrapes: int, name: str, labels: str, scale: int) -> list[str]:
    count = sum(backend.per_scrape.values()) * scrapes
    return [
        f'{name}_bucket{{{labels},le="{bound / scale}"}} '
        f"{count if backend.milliseconds <= bound else 0}"
        for bound in BUCKETS_MS
    ] + [f'{name}_bucket{{{labels},le="+Inf"}} {count}']


class Exposition(ThreadingHTTPServer):
    """Serves the exposition, one step further with each scrape."""

    daemon_threads = True
    scrapes = 0


class Scrape(BaseHTTPRequestHandler):
    server: Exposition

    def do_GET(self) -> None:
        self.server.scrapes += 1
        body = exposition(self.server.scrapes).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing."""


@contextmanager
def exposing() -> Iterator[int]:
    with Exposition(("127.0.0.1", 0), Scrape) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Prometheus and wait until it has scraped often enough; its address."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    with exposing() as target:
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            "scrape_configs:\n"
            "- job_name: all\n"
            "  honor_labels: true\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        )
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(  # noqa: S603  # the binary that the sandbox built
                [
                    str(BINARIES[-1]),
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={address}",
                ],
                stdout=log,
                stderr=log,
            )
        with process:
            try:
                wait_for_samples(f"http://{address}", process, folder / "log")
                yield f"http://{address}"
            finally:
                process.terminate()


def wait_for_samples(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    query = urllib.parse.urlencode({"query": "max(count_over_time(http_requests_total[3s]))"})
    for _ in range(500):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/api/v1/query?{query}") as answer:  # noqa: S310  # loopback
                result = json.load(answer)["data"]["result"]
        except (urllib.error.URLError, ConnectionError):
            result = []
        if result and float(result[0]["value"][1]) >= 5:
            return
        time.sleep(0.05)
    pytest.fail(f"Prometheus has no samples: {log.read_text()}")


@pytest.fixture
async def provider() -> AsyncIterator[PrometheusProvider]:
    provider = PrometheusProvider(EVERYWHERE)
    yield provider
    await provider.aclose()


async def ask(
    provider: PrometheusProvider, address: str, metric: Builtin, workload: str
) -> dict[str, tuple[float, ...]]:
    spec = ProviderSpec(type="prometheus", address=address)
    queries = builtin_queries(
        metric, namespace="prod", service=workload, workload=workload, interval=WINDOW
    )
    return {it.source: await provider.query(spec, it.query, MINUTE) for it in queries}


@pytest.mark.parametrize(
    ("workload", "percent"),
    [
        ("good-canary", 100),
        ("bad-canary", 0),
        ("mixed-canary", 80),
        ("web", 100),
        ("web-canary", 0),
        ("web.v2", 50),
        ("idle-canary", None),
        ("unheard-of", None),
    ],
)
async def test_success_rate(
    provider: PrometheusProvider, prometheus: str, workload: str, percent: float | None
) -> None:
    rates = await ask(provider, prometheus, Builtin.SUCCESS_RATE, workload)

    expected = () if percent is None else pytest.approx((percent,))
    assert rates == {GATEWAY: expected, APP: expected}


@pytest.mark.parametrize(
    ("workload", "bounds"),
    [
        ("good-canary", (5, 25)),
        ("bad-canary", (100, 500)),
        ("web", (5, 25)),
        ("web-canary", (100, 500)),
    ],
)
async def test_duration_is_in_milliseconds(
    provider: PrometheusProvider, prometheus: str, workload: str, bounds: tuple[float, float]
) -> None:
    durations = await ask(provider, prometheus, Builtin.DURATION, workload)

    low, high = bounds
    expected = pytest.approx((low + 0.99 * (high - low),))
    assert durations == {GATEWAY: expected, APP: expected}


@pytest.mark.parametrize("workload", ["idle-canary", "unheard-of"])
async def test_no_duration_without_traffic(
    provider: PrometheusProvider, prometheus: str, workload: str
) -> None:
    durations = await ask(provider, prometheus, Builtin.DURATION, workload)

    assert durations == {GATEWAY: (), APP: ()}


@pytest.mark.parametrize(
    ("query", "value"),
    [("vector(7)", 7), ("scalar(vector(8))", 8), ("0/0", None), ("up == 5", None)],
)
async def test_reads_what_prometheus_answers(
    provider: PrometheusProvider, prometheus: str, query: str, value: float | None
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)

    expected = () if value is None else (pytest.approx(value),)
    assert await provider.query(spec, query, MINUTE) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sum(", "answers 400: "),
        ("up[1m]", "gives a range of values"),
        ('"text"', "gives the text 'text'"),
        ("http_requests_total * on(namespace) http_requests_total", "answers 422: "),
    ],
)
async def test_says_what_prometheus_complains_of(
    provider: PrometheusProvider, prometheus: str, query: str, message: str
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)

    with pytest.raises(ProviderError) as caught:
        await provider.query(spec, query, MINUTE)

    assert message in str(caught.value)
    if "answers" in message:
        assert "mend the query" in str(caught.value)


PODS = 'namespace="prod",kubernetes_pod_name=~"TARGET-.+"'
BAD = f'sum(rate(http_requests_total{{{PODS},status="503"}}[3s]))'
GOOD = f'sum(rate(http_requests_total{{{PODS},status!~"5.."}}[3s]))'
ALL = f"sum(rate(http_requests_total{{{PODS}}}[3s]))"


@pytest.mark.parametrize(
    ("query", "workload", "value", "said"),
    [
        (f"{BAD} / {ALL} * 100", "good-canary", 0, 'is {status="503"}'),
        (f"100 - {GOOD} / {ALL} * 100", "bad-canary", 100, 'is {status!~"5.."}'),
        (BAD, "good-canary", 0, 'is {status="503"}'),
        (f"{BAD} / {ALL}".replace("status", "stauts"), "good-canary", None, "label stauts"),
        (f"{BAD} / {ALL}", "idle-canary", None, ""),
        (f"{BAD} / {ALL}", "unheard-of", None, ""),
        (
            f"{BAD.replace('requests', 'errors')} / {ALL}",
            "good-canary",
            None,
            "http_errors_total, or write",
        ),
    ],
    ids=["no errors", "all errors", "no ratio", "no label", "idle", "no series", "no metric"],
)
async def test_no_errors_is_told_from_no_data(
    provider: PrometheusProvider,
    prometheus: str,
    query: str,
    workload: str,
    value: float | None,
    said: str,
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    query = query.replace("TARGET", workload)

    async def ask(text: str) -> tuple[float, ...]:
        return await provider.query(spec, text, MINUTE)

    assert await ask(query) == ()
    found = await look_into(completed(query, (workload,)), ask)

    assert found.values == (() if value is None else (value,))
    assert said in found.note + found.problem


@pytest.mark.parametrize("at", [0, 1], ids=[GATEWAY, APP])
async def test_errors_that_a_rate_has_not_seen_yet_are_counted(
    provider: PrometheusProvider, prometheus: str, at: int
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    text = builtin_queries(
        Builtin.SUCCESS_RATE,
        namespace="prod",
        service="new-canary",
        workload="new-canary",
        interval=WINDOW,
    )[at]
    look = Beginnings(AtOnce(), {"prometheus": provider}).look

    assert await provider.query(spec, text.query, MINUTE) == pytest.approx((100,))
    found = await look(spec, [text])

    assert found.value == pytest.approx(50)
    assert found.source == text.source


@pytest.mark.parametrize("workload", ["mixed-canary", "good-canary", "idle-canary", "unheard-of"])
async def test_where_nothing_began_the_query_has_all(
    provider: PrometheusProvider, prometheus: str, workload: str
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    look = Beginnings(AtOnce(), {"prometheus": provider}).look
    texts = builtin_queries(
        Builtin.SUCCESS_RATE,
        namespace="prod",
        service=workload,
        workload=workload,
        interval=WINDOW,
    )
    assert await look(spec, texts) == Beginning()


async def test_the_usual_pattern_fits_the_pods_of_a_long_name_and_none_of_the_others(
    provider: PrometheusProvider, prometheus: str
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    both = Versions(
        namespace="prod",
        canary=Version(workload=canary_name(LONG), service=canary_name(LONG)),
        stable=Version(workload=LONG, service=LONG),
    )
    pods = 'http_requests_total{kubernetes_pod_name=~"TARGET-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}'

    canary = await provider.series(
        spec, for_canary(pods.replace("TARGET", canary_name(LONG)), both)
    )
    stable = await provider.series(spec, for_stable(pods.replace("TARGET", LONG), both))

    found = [{one.labels["kubernetes_pod_name"] for one in side} for side in (canary, stable)]
    assert found == [set(pod_names(canary_name(LONG))), set(pod_names(LONG))]


async def test_gives_raw_counters_for_a_query_of_any_length(
    provider: PrometheusProvider, prometheus: str
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    pods = "|".join(["mixed-canary-7d9c5b8f6d-.+", *(f"web-{n:08}" for n in range(500))])

    found = await provider.series(spec, f'http_requests_total{{kubernetes_pod_name=~"{pods}"}}')

    assert {(it.labels["kubernetes_pod_name"], it.labels["status"]) for it in found} == {
        (f"mixed-canary-7d9c5b8f6d-{pod}", status)
        for pod in ("x2x8z", "b7b7b")
        for status in ("200", "500")
    }
    assert all(it.labels["__name__"] == "http_requests_total" for it in found)
    assert all(
        it.value % BACKENDS["mixed-canary"].per_scrape[it.labels["status"]] == 0 for it in found
    )


async def test_gives_the_history_of_counters(provider: PrometheusProvider, prometheus: str) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)
    end = datetime.now(UTC)
    start, step = end - timedelta(seconds=1), timedelta(milliseconds=250)
    query = (
        'http_requests_total{kubernetes_pod_name=~"good-canary-.+",namespace="prod",status="200"}'
    )

    ((labels, points),) = await provider.history(spec, query, start=start, end=end, step=step)

    asked = [start.timestamp() + n * step.total_seconds() for n in range(5)]
    values = [value for _, value in points]
    assert labels["status"] == "200"
    # It may have begun within the time.
    assert [at for at, _ in points] == pytest.approx(asked[-len(points) :], abs=0.002)
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sum(", "answers 400: "),
        ("up[1m]", "leave the range"),
        ("scalar(up)", "gives a single value"),
        ('"text"', "gives a single value"),
    ],
)
async def test_says_why_there_are_no_series(
    provider: PrometheusProvider, prometheus: str, query: str, message: str
) -> None:
    spec = ProviderSpec(type="prometheus", address=prometheus)

    with pytest.raises(ProviderError) as caught:
        await provider.series(spec, query)

    assert message in str(caught.value)


NAMED = 'kubernetes_pod_name=~"web-canary-.*"'
ERRORS = f'sum(rate(http_requests_total{{{NAMED},status="500"}}[3s]))'


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("web-canary-7d9c5b8f6d-x2x8z",), 100.0),
        (("web-canary-7d9c5b8f6d-x2x8z", "web-canary-7d9c5bx2x8z"), 100.0),
        (("web-canary-00000-aaaaa",), None),
    ],
)
async def test_a_query_by_the_names_of_pods_reads_those_alone(
    prometheus: str, provider: PrometheusProvider, names: tuple[str, ...], value: float | None
) -> None:
    pods = RunPods(names=names, stable="web-5d9f7c8b9d-x2x4z", former="web-canary-5d9f7c8b9d-x2x4z")
    whole = f"100 * {ERRORS} / sum(rate(http_requests_total{{{NAMED}}}[3s]))"
    spec = ProviderSpec(type="prometheus", address=prometheus)
    query = narrowed(whole, pods)
    assert ".*" not in query
    expected = () if value is None else (pytest.approx(value),)
    assert await provider.query(spec, query, MINUTE) == expected
    count = narrowed(f"count(http_requests_total{{{NAMED}}})", pods)
    assert await provider.query(spec, count, MINUTE) == (() if value is None else (len(names),))


async def test_a_shorter_window_has_the_same_value_where_it_is_said_to(
    prometheus: str, provider: PrometheusProvider
) -> None:
    cluster = 'envoy_cluster_upstream_rq{envoy_cluster_name="prod_mixed-canary_80"'
    bad, every = f'{cluster},envoy_response_code=~"5.."}}[3s]', f"{cluster}}}[3s]"
    spec = ProviderSpec(type="prometheus", address=prometheus)
    for function in ("rate", "increase", "irate"):
        query = f"100 * sum({function}({bad})) / sum({function}({every}))"
        short = shortened(query, timedelta(seconds=1))
        assert "[1s]" in short
        for text in (query, short):
            (value,) = await provider.query(spec, text, MINUTE)
            assert value == pytest.approx(20, abs=1e-6)


# --- one query for many -----------------------------------------------------------------------

TEAMS = (
    f"{BAD} / {ALL} * 100",
    f"100 - {GOOD} / {ALL} * 100",
    f"({BAD} or vector(0)) / {ALL}",
    f"avg(http_requests_total{{{PODS}}}) - min(http_requests_total{{{PODS}}})",
    f"scalar({ALL})",
    f"-round({ALL}, 0.5) > bool 3",
    f"{BAD} unless on () count(http_requests_total{{{PODS}}})",
)


def asked_of_all() -> list[str]:
    """Return what checks of all workloads ask: of some nothing is known."""
    built_in = [
        one.query
        for workload in (*BACKENDS, "unheard-of")
        for metric in Builtin
        for one in builtin_queries(
            metric, namespace="prod", service=workload, workload=workload, interval=WINDOW
        )
    ]
    teams = [
        query.replace("TARGET", workload)
        for workload in (*BACKENDS, "unheard-of")
        for query in TEAMS
    ]
    return [*built_in, *teams]


def evaluated(address: str, query: str, at: float) -> list[dict[str, Any]]:
    """Return what Prometheus itself says of a query at a time."""
    form = urllib.parse.urlencode({"query": query, "time": at}).encode()
    with urllib.request.urlopen(f"{address}/api/v1/query", form) as answer:  # noqa: S310  # loopback
        data = json.load(answer)["data"]
    if data["resultType"] == "scalar":
        return [{"metric": {}, "value": data["result"]}]
    found: list[dict[str, Any]] = data["result"]
    return found


def test_of_many_in_one_each_comes_to_what_it_comes_to_alone(prometheus: str) -> None:
    queries = asked_of_all()
    parts = [joinable(query) for query in queries]
    assert all(parts)
    at = time.time() - 1  # what was scraped until then stays as it is
    together: list[list[str]] = [[] for _ in queries]
    for item in evaluated(prometheus, joined([one.text for one in parts if one]), at):
        part = part_of(item["metric"])
        assert part is not None
        together[part].append(item["value"][1])
    alone = [[item["value"][1] for item in evaluated(prometheus, query, at)] for query in queries]

    assert together == alone
    assert sum(map(bool, alone)) > len(queries) / 2


def test_samples_of_many_are_to_each_what_it_reads_alone(prometheus: str) -> None:
    found = [sampled(query) for query in asked_of_all()]
    texts = dict.fromkeys(query for one in found if one is not None for query in one.queries)
    groups: dict[object, list[Ranged]] = {}
    for text in texts:
        one = ranged(text)
        assert one is not None
        groups.setdefault(one.like, []).append(one)
    at = time.time() - 1

    def read(query: str) -> list[tuple[dict[str, str], tuple[Any, ...]]]:
        return [(it["metric"], tuple(it["values"])) for it in evaluated(prometheus, query, at)]

    for alike in groups.values():
        for one, own in zip(alike, dealt(alike, read(joined_ranges(alike))), strict=True):
            alone = read(written(one.selector, one.window))
            assert sorted(own, key=repr) == sorted(alone, key=repr)
    assert len(groups) < len(texts) / 4


async def test_the_real_server_is_asked_for_all_in_a_few_requests(
    provider: PrometheusProvider, prometheus: str
) -> None:
    registry, queries = CollectorRegistry(), asked_of_all()
    spec = ProviderSpec(type="prometheus", address=prometheus)
    broken = f"{ALL} and on (".replace("TARGET", "web")
    async with (
        open_joint(provider, AtOnce(), registry) as joint,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(joint.query(spec, query, MINUTE)) for query in queries]
        with pytest.raises(ProviderError, match="answers 400"):
            await joint.query(spec, broken, MINUTE)
    expected = [await provider.query(spec, query, MINUTE) for query in queries]

    assert [len(task.result()) for task in tasks] == [len(one) for one in expected]
    asked = registry.get_sample_value("headgate_check_requests_total", {"how": "joined"})
    assert asked is not None
    assert asked <= 8
    assert registry.get_sample_value("headgate_check_requests_total", {"how": "alone"}) == 1
