"""A small HTTP server for the demo and the tests, with faults that are baked into its image.

Faults are exact and not drawn by chance: with ERROR_SHARE=0.2 every fifth request fails.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

PORT = 8080
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}
MALFORMED = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What this version does; read from the environment that the image sets.

    With FAULTY_AS it errs only where ROLE is the same: as production does, but not as a canary.
    """

    version: str = "dev"
    error_share: Fraction = Fraction(0)
    latency_s: float = 0.0
    crash_after_s: float | None = None
    never_ready: bool = False
    drain_s: float = 3.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Behaviour":
        """Read the settings; an empty one is the default."""
        given = {name: value for name, value in environment.items() if value}
        crash = given.get("CRASH_AFTER_S")
        faulty = given.get("FAULTY_AS") in {None, given.get("ROLE")}
        return cls(
            version=given.get("VERSION", "dev"),
            error_share=Fraction(given.get("ERROR_SHARE", "0") if faulty else "0"),
            latency_s=float(given.get("LATENCY_MS", "0")) / 1000,
            crash_after_s=float(crash) if crash else None,
            never_ready=given.get("NEVER_READY", "") in {"1", "true"},
            drain_s=float(given.get("DRAIN_S", "3")),
        )


def fails(number: int, share: Fraction) -> bool:
    """Whether request `number` (from 1) fails: spread evenly, exact in every prefix."""
    return number * share // 1 != (number - 1) * share // 1


@dataclass(slots=True)
class Metrics:
    """Counter and histogram in the text format of Prometheus.

    As in the client libraries, a counter's series is there from its first request of that status.
    """

    requests: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))
    count: int = 0
    seconds: float = 0.0

    def observe(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.count += 1
        self.seconds += seconds
        for index, bound in enumerate(BUCKETS_S):
            if seconds <= bound:
                self.buckets[index] += 1

    def text(self) -> str:
        """The page that Prometheus scrapes."""
        name = "http_request_duration_seconds"
        lines = ["# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{status="{s}"}} {n}' for s, n in self.requests.items()]
        lines.append(f"# TYPE {name} histogram")
        counted = zip(BUCKETS_S, self.buckets, strict=True)
        lines += [f'{name}_bucket{{le="{bound}"}} {n}' for bound, n in counted]
        lines.append(f'{name}_bucket{{le="+Inf"}} {self.count}')
        lines += [f"{name}_sum {self.seconds:.6f}", f"{name}_count {self.count}", ""]
        return "\n".join(lines)


class App:
    """Answers requests as its behaviour says."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._metrics = Metrics()
        self._number = 0
        self._draining = False

    def drain(self) -> None:
        """Answer on, but let no connection live longer than its next answer."""
        self._draining = True

    async def answer(self, path: str) -> tuple[int, str]:
        """Status and body of one request; probes and scrapes are not counted."""
        match path.partition("?")[0]:
            case "/metrics":
                return 200, self._metrics.text()
            case "/healthz" if self._behaviour.never_ready:
                return 503, "never ready\n"
            case "/healthz":
                return 200, "ok\n"
            case _:
                return await self._work()

    async def _work(self) -> tuple[int, str]:
        started = time.perf_counter()
        self._number += 1
        failed = fails(self._number, self._behaviour.error_share)
        if self._behaviour.latency_s:
            await asyncio.sleep(self._behaviour.latency_s)
        status = 500 if failed else 200
        self._metrics.observe(status, time.perf_counter() - started)
        return status, f"headgate demo {self._behaviour.version}\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept open as long as the client wants."""
        try:
            while await self._exchange(reader, writer):
                pass
        except MALFORMED:
            return
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *rest = head.split("\r\n")
        headers = dict(line.lower().split(":", 1) for line in rest if ":" in line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        status, body = await self.answer(request.split(" ")[1])
        asked = headers.get("connection", "").strip() != "close" and "HTTP/1.1" in request
        keep = asked and not self._draining
        writer.write(response(status, body, keep=keep))
        await writer.drain()
        return keep


def response(status: int, body: str, *, keep: bool) -> bytes:
    """An HTTP/1.1 response."""
    content = body.encode()
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode("ascii") + content


async def run(behaviour: Behaviour) -> None:
    """Serve until SIGTERM, and a little longer: the pod's address is still in use elsewhere."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = App(behaviour)
    server = await asyncio.start_server(app.serve, "0.0.0.0", PORT)  # noqa: S104 - in a pod
    print(f"version {behaviour.version} listens on {PORT}", flush=True)
    try:
        async with asyncio.timeout(behaviour.crash_after_s):
            await stop.wait()
    except TimeoutError:
        sys.exit("crashing, as this version does")
    app.drain()
    await asyncio.sleep(behaviour.drain_s)
    server.close()


if __name__ == "__main__":
    asyncio.run(run(Behaviour.of(os.environ)))
