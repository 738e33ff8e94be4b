"""What it costs to gather evidence: pages of pods, and one server's answer for many runs.

Processor time of this process, by which a busy machine changes little; what serves the pages is a
process of its own.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from analyzer.pod_pages.scraper import open_scraper
from canary.counting.series import Series, merged
from canary.measuring.demand import Demand, Wanted, shares, together
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors
from tests.bench.figures import Figure
from tests.bench.gateway import requests, run_of
from tests.bench.load import LoadError
from tests.bench.machine import ROOT
from tests.fakes.evidence import BEGAN, SERVER, SUCCESS

PAGES: Final = 400
AT_ONCE: Final = 4
ROUNDS: Final = 3
SIZES: Final = (50, 500, 5000)
"""Lines of a page: a small service's, a usual one's, a large one's."""
RUNS: Final = (10, 100, 1000)
TICKS: Final = 3
PATIENCE: Final = timedelta(seconds=20)
"""On a busy machine; what is measured is processor time."""
WANTED: Final = 4
MILLI: Final = 1e3
_NAMES: Final = frozenset({"http_requests_total"})


def figures() -> list[Figure]:
    """Measure pages, then answers."""
    return [*(asyncio.run(_of_pages(lines)) for lines in SIZES), *_of_answers()]


# --- pages --------------------------------------------------------------------------------------


def page(lines: int) -> bytes:
    """Return a page of an application: four of its series are counters of requests."""
    wanted = [
        f'http_requests_total{{method="GET",status="{code}"}} {count}'
        for code, count in (("200", 1234), ("404", 17), ("500", 3), ("503", 1))
    ]
    others = [
        f'process_work_seconds_bucket{{queue="q{at % 40}",le="{at / 100}"}} {at * 3}'
        for at in range(lines - len(wanted))
    ]
    return "\n".join([*others, *wanted, ""]).encode()


def serve(lines: int) -> None:
    """Serve a page until the process is ended; its port is the first line that is printed."""
    body = page(lines)

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


@contextmanager
def _serving(lines: int) -> Iterator[int]:
    """Serve a page in a process of its own; its port."""
    code = f"from {__name__} import serve; serve({lines})"
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield int(process.stdout.readline() if process.stdout else "")
        finally:
            process.terminate()


async def _of_pages(lines: int) -> Figure:
    with _serving(lines) as port:
        best = min([await _read(f"http://127.0.0.1:{port}/metrics") for _ in range(ROUNDS)])
    return Figure(
        name=f"pages of {lines} lines, read by one core",
        value=1 / best,
        unit="/s",
        more=True,
        note=f"{best * MILLI:.2f} ms of a processor each, the best of {ROUNDS} rounds",
    )


async def _read(url: str) -> float:
    """Return the processor time of one page, in seconds."""
    left = iter(range(PAGES))

    async def read() -> None:
        for _ in left:
            found = await scraper.scrape(url, _NAMES)
            if len(found) != WANTED:
                raise LoadError(f"{len(found)} series of a page that has {WANTED}")

    async with open_scraper(PATIENCE) as scraper:
        await scraper.scrape(url, _NAMES)
        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(read())
        return (time.process_time() - began) / PAGES


# --- answers ------------------------------------------------------------------------------------


@dataclass(eq=False)
class Following:
    """One of many runs."""

    run: Run


def _of_answers() -> list[Figure]:
    found: list[Figure] = []
    for runs in RUNS:
        each = _of_an_answer(runs)
        first = found[0].value if found else each
        found.append(
            Figure(
                name=f"a reading of a metrics server, of {runs} runs, each",
                value=each,
                unit="ms",
                aim=None if runs == RUNS[0] else 2 * first,
                note="asked for, dealt out, counted and judged: linear where it is the same",
            )
        )
    return found


def _of_an_answer(number: int) -> float:
    """Return the processor time of a reading of so many runs, in milliseconds per run."""
    runs = [_following(at) for at in range(number)]
    ticks = []
    for at in range(1, 2 + TICKS):
        answer = _answer(runs, 100.0 * at)
        began = time.process_time()
        _tick(runs, answer, BEGAN + 20 * at)
        ticks.append(time.process_time() - began)
    return min(ticks[1:]) / number * MILLI


def _following(number: int) -> Following:
    return Following(run_of(number, SUCCESS))


def _answer(runs: list[Following], count: float) -> list[Series]:
    return [one for it in runs for one in requests(it.run.watch.key, count)]


def _tick(runs: list[Following], answer: list[Series], at: float) -> None:
    for asked in _asked(runs):
        merged(asked.selectors)
        for one, names, own in shares(asked, answer):
            one.run.read_server(own, names, at)
            one.run.judge_now()


def _asked(runs: list[Following]) -> list[Demand[Following]]:
    return together(
        Wanted(one, metric.metric.name, SERVER, selectors)
        for one in runs
        for metric in one.run.metrics
        if (selectors := tuple(server_selectors(one.run.ways(metric))))
    )
