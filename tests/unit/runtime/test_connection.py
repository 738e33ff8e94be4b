"""What a connection leaves behind when it is closed."""

import asyncio
import gc
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme
import yaml
from aiohttp import web

from runtime.kube import Cluster
from runtime.resources import PODS
from tests.fakes.listening import TestServer


@dataclass
class Silent:
    """Serves TLS from a loop of its own, so that ours can end as a process's does, and is silent.

    Args:
        folder: for the kubeconfig and the authority.

    """

    folder: Path
    asked: threading.Event = field(default_factory=threading.Event)
    _ports: list[int] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def serve(self) -> Iterator[Path]:
        """Serve while the context lasts, which is given a kubeconfig."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        loop = asyncio.new_event_loop()
        serving = loop.create_task(self._serve(context))

        def run() -> None:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(serving)
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert self._ready.wait(10)
            yield self._kubeconfig(self._ports[0])
        finally:
            loop.call_soon_threadsafe(serving.cancel)
            thread.join(10)

    async def _serve(self, context: ssl.SSLContext) -> None:
        async def never(_request: web.Request) -> web.Response:
            self.asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        app = web.Application()
        app.router.add_get("/{path:.*}", never)
        server = TestServer(app, scheme="https")
        await server.start_server(ssl=context)
        assert server.port is not None
        self._ports.append(server.port)
        self._ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    def _kubeconfig(self, port: int) -> Path:
        cluster = {
            "server": f"https://127.0.0.1:{port}",
            "certificate-authority": str(self.folder / "ca.crt"),
        }
        content = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path


async def cancelled_when_asked(kubeconfig: Path, asked: threading.Event) -> None:
    async with Cluster.connect(kubeconfig) as cluster, asyncio.TaskGroup() as group:
        call = group.create_task(cluster.get(PODS, "prod", "web"))
        async with asyncio.timeout(10):
            while not asked.is_set():  # noqa: ASYNC110 - another loop sets it
                await asyncio.sleep(0)
        call.cancel()


def test_a_request_that_is_cancelled_just_before_the_end_leaves_no_socket_open(
    tmp_path: Path,
) -> None:
    silent = Silent(tmp_path)
    with silent.serve() as kubeconfig, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(20):
            silent.asked.clear()
            asyncio.run(cancelled_when_asked(kubeconfig, silent.asked))
            gc.collect()
    assert not [str(warning.message) for warning in seen]
