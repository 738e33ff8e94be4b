"""Traffic that nobody sends: a gateway's counters of every backend, in a real Prometheus.

One page has what Envoy counts of the stable and of the canary of each run. A real Prometheus reads
it and answers; between it and the analyzer each request is counted.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

import aiohttp
import requests
import uvloop
import yaml
from aiohttp import web

from canary.model.names import canary_name
from sandbox import paths
from sandbox.versions import PROMETHEUS_BUILD
from tests.cluster.kit import wait_for
from tests.cluster.own_api_server import free_port, running

SCRAPE_SECONDS: Final = 5
RATE: Final = 100
"""Requests of each side per second: enough to refuse a bad version by its second reading."""
_BUCKETS: Final = (5, 25, 100, 250, 500, 1000)
_NAMES: Final = re.compile(r"(scale-\d+_app-\d+)-canary_")
_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to the analyzer: when it was complete, and of which runs it told."""

    at: float
    runs: frozenset[str]


@dataclass(slots=True)
class Traffic:
    """What is counted, which canaries fail, and what was asked."""

    names: list[tuple[str, str]]
    bad: dict[str, float] = field(default_factory=dict)
    """By run: since when its canary fails every request, in seconds since 1970."""
    requests: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    answers: list[Answer] = field(default_factory=list)
    noting: bool = False
    started: float = field(default_factory=time.time)
    url: str = ""
    prometheus: str = ""

    def page(self) -> str:
        """Return the counters of now."""
        now = time.time()
        total = int((now - self.started) * RATE)
        lines = [
            "# TYPE envoy_cluster_upstream_rq counter",
            "# TYPE envoy_cluster_upstream_rq_time histogram",
        ]
        for namespace, name in self.names:
            run = f"{namespace}_{name}"
            lines += _side(f"{run}_{_PORT}", total, 0)
            since = self.bad.get(run)
            failed = int(max(0.0, now - since) * RATE) if since else 0
            lines += _side(f"{namespace}_{canary_name(name)}_{_PORT}", total, failed)
        return "\n".join([*lines, ""])


def _side(backend: str, total: int, failed: int) -> list[str]:
    label = f'envoy_cluster_name="{backend}"'
    counter, latency = "envoy_cluster_upstream_rq", "envoy_cluster_upstream_rq_time"
    lines = [f'{counter}{{{label},envoy_response_code="200"}} {total - failed}']
    if failed:
        lines.append(f'{counter}{{{label},envoy_response_code="500"}} {failed}')
    # Half of the requests take 5 ms, all of them less than 25.
    below = [(str(_BUCKETS[0]), total // 2), *((str(bound), total) for bound in _BUCKETS[1:])]
    lines += [
        f'{latency}_bucket{{{label},le="{bound}"}} {count}'
        for bound, count in (*below, ("+Inf", total))
    ]
    return [*lines, f"{latency}_count{{{label}}} {total}", f"{latency}_sum{{{label}}} {total * 7}"]


async def _serve(traffic: Traffic, port: int, stop: threading.Event) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def exported(_: web.Request) -> web.Response:
            return web.Response(text=traffic.page(), content_type="text/plain")

        async def asked(request: web.Request) -> web.Response:
            body = await request.read()
            traffic.requests[request.path] += 1
            url = f"{traffic.prometheus}{request.path_qs}"
            headers = {"Content-Type": request.headers.get("Content-Type", "")}
            async with session.request(
                request.method, url, data=body or None, headers=headers if body else None
            ) as theirs:
                found = await theirs.read()
                traffic.bytes += len(found)
                kind = theirs.content_type
            if traffic.noting:
                said = unquote_plus(request.query_string + body.decode()) + found.decode()
                traffic.answers.append(Answer(time.time(), frozenset(_NAMES.findall(said))))
            return web.Response(body=found, status=theirs.status, content_type=kind)

        app = web.Application(client_max_size=2**26)
        app.router.add_get("/metrics", exported)
        app.router.add_route("*", "/api/v1/{rest:.*}", asked)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await asyncio.to_thread(stop.wait)
        finally:
            await runner.cleanup()


@contextmanager
def traffic_of(folder: Path, names: list[tuple[str, str]]) -> Iterator[Traffic]:
    """Count traffic to these targets, (namespace, name), while the context lasts."""
    port, own = free_port(), free_port()
    traffic = Traffic(names, url=f"http://127.0.0.1:{port}", prometheus=f"http://127.0.0.1:{own}")
    stop = threading.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(traffic, port, stop))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    config = folder / "prometheus.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "global": {
                    "scrape_interval": f"{SCRAPE_SECONDS}s",
                    "scrape_timeout": f"{SCRAPE_SECONDS}s",
                },
                "scrape_configs": [
                    {
                        "job_name": "gateway",
                        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                    }
                ],
            }
        )
    )
    command: list[str | Path] = [
        paths.binary(PROMETHEUS_BUILD, "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{own}",
        "--log.level=warn",
    ]
    try:
        with running(folder / "prometheus.log", command):
            wait_for("a sample in Prometheus", lambda: _has_samples(own), 60)
            yield traffic
    finally:
        stop.set()
        thread.join(10)


def _has_samples(port: int) -> bool:
    try:
        found = requests.get(
            f"http://127.0.0.1:{port}/api/v1/query",
            params={"query": "count(envoy_cluster_upstream_rq)"},
            timeout=5,
        ).json()
    except (requests.RequestException, ValueError):
        return False
    return bool(found.get("data", {}).get("result"))
