"""A server of a test's own that the API server calls: over TLS, on the address of the node."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme

from tests.cluster.kit import Json, Kubectl


def node_address(kubectl: Kubectl) -> str:
    """Return the address of the first node, which is this machine's in the sandbox."""
    addresses = kubectl.items("node")[0]["status"]["addresses"]
    return str(next(it["address"] for it in addresses if it["type"] == "InternalIP"))


class JsonHandler(BaseHTTPRequestHandler):
    """Answers in JSON, and is silent."""

    def answer(self, status: int, body: Json) -> None:
        """Send an answer."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output to the tests."""


@contextmanager
def serving(
    address: str, name: str, handler: Callable[..., BaseHTTPRequestHandler]
) -> Iterator[tuple[int, str]]:
    """Serve over TLS; give the port and the certificate to trust, in base64.

    Args:
        address: of this machine, as the API server reaches it.
        name: host name or address that the certificate is for.
        handler: makes the handler of a request.

    """
    authority = trustme.CA()
    try:
        server = ThreadingHTTPServer((address, 0), handler)
    except OSError:
        pytest.skip("the API server cannot call this machine by the address of its node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(pair)
        context.load_cert_chain(pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, base64.b64encode(authority.cert_pem.bytes()).decode()
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
