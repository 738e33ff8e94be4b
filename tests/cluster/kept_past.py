"""A Prometheus that has a day of the stable's past: every thousandth answer failed by itself."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cluster.judged import Fault, Outcome, judged_canary, lane
from tests.cluster.kit import Kubectl, metric_template

RATE, WEIGHT = 100.0, 10
"""Requests per second through the gateway, and the canary's share of them: 10 per second."""
FIFTH = Fault(name="fifth", errors=0.2)
_PODS = ("web-past-1", "web-past-2")
_PER_STEP, _BAD = 1500, 1.5
"""Answers of a pod in a step of 30 s, and how many of them failed on average."""


class _Past(BaseHTTPRequestHandler):
    """Answers range queries from the past, and all others with nothing."""

    def __init__(self, namespace: str, *arguments: Any) -> None:
        self._namespace = namespace
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, words: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(words).items()}
        ranged = "query_range" in self.path
        result = self._series(asked) if ranged and "http_requests_total" in asked["query"] else []
        kind = "matrix" if ranged else "vector"
        body = {"status": "success", "data": {"resultType": kind, "result": result}}
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _series(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        times = [start + at * step for at in range(round((end - start) / step) + 1)]
        found = []
        for number, pod in enumerate(_PODS):
            draw = random.Random(number)  # noqa: S311 - a fixed seed, no secret
            bad = 0
            good_values, bad_values = [], []
            for at, time in enumerate(times):
                bad_values.append([time, str(bad)])
                good_values.append([time, str(_PER_STEP * at)])
                bad += sum(draw.random() < _BAD / 10 for _ in range(10))
            for status, values in (("200", good_values), ("500", bad_values)):
                labels = {
                    "__name__": "http_requests_total",
                    "namespace": self._namespace,
                    "kubernetes_pod_name": pod,
                    "status": status,
                }
                found.append({"metric": labels, "values": values})
        return found


@contextmanager
def kept_past(admin: Kubectl) -> Iterator[str]:
    """Serve the past to the analyzer, by the address of its node; give the server's address.

    Raises:
        OSError: the node is another machine.

    """
    (node, *_) = admin.items("nodes")
    addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
    handler = partial(_Past, admin.namespace)
    server = ThreadingHTTPServer((addresses["InternalIP"], 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{addresses['InternalIP']}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def refusals_over_a_known_stable(
    kubectl: Kubectl, gateway: str, host: str, *, runs: int = 3
) -> list[Outcome]:
    """Release versions that fail every fifth request, each as soon as the one before is refused.

    Raises:
        OSError: the analyzer cannot call this machine by the address of its node.

    """
    canary = judged_canary(interval="10m", weight=WEIGHT)
    template = metric_template(kubectl.namespace)
    canary["spec"]["analysis"]["metrics"] = [
        {
            "name": "error-rate",
            "templateRef": {"name": "error-rate"},
            "thresholdRange": {"max": 1},
            "interval": "1m",
        }
    ]
    with kept_past(kubectl) as past:
        template["spec"]["provider"]["address"] = past
        kubectl.apply(template)
        with lane(kubectl, gateway, host, RATE, canary) as there:
            return [there.release(FIFTH, 60) for _ in range(runs)]
