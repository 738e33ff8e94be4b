"""The proxy on the way to the API server is chosen once, as kubectl would; nothing comes later."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web

from runtime.connection import load_access
from runtime.errors import ConfigurationError
from runtime.kube import Cluster
from runtime.proxies import proxy_for
from runtime.resources import PODS
from tests.fakes.listening import TestServer
from tests.unit.runtime.scripted_api import ScriptedApi, ok
from tests.unit.runtime.tunnel import Tunnel

PROXY = "http://proxy.example:3128"
OBJ = {"metadata": {"name": "web", "namespace": "prod"}}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        ("https://api.example", {}, None),
        ("https://api.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.example", {"https_proxy": PROXY}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://api.example", {"HTTP_PROXY": PROXY}, None),
        ("http://api.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_proxy_of_the_environment(
    server: str, environ: dict[str, str], expected: str | None
) -> None:
    assert proxy_for(server, None, environ) == expected


@pytest.mark.parametrize(
    ("server", "no_proxy", "direct"),
    [
        ("https://api.example", "*", True),
        ("https://api.example", "api.example", True),
        ("https://api.example", "other, API.example ,", True),
        ("https://a.api.example", "api.example", True),
        ("https://myapi.example", "api.example", False),
        ("https://api.example", ".example", True),
        ("https://api.example", "*.example", True),
        ("https://api.example", ".api.example", False),
        ("https://api.example", "api.example:443", True),
        ("https://api.example:6443", "api.example:443", False),
        ("https://10.96.0.1:443", "10.96.0.1", True),
        ("https://10.96.0.1:443", "10.96.0.0/12", True),
        ("https://10.95.0.1:443", "10.96.0.0/12", False),
        ("https://10.96.0.1:443", "10.96.0.1:8443", False),
        ("https://[fd00::1]:443", "fd00::1", True),
        ("https://[fd00::1]:443", "[fd00::1]:443", True),
        ("https://[fd00::1]:443", "fd00::/8", True),
        ("https://10.96.0.1:443", "fd00::/8,nonsense/99", False),
        ("https://api.example", "10.0.0.0/8", False),
    ],
)
def test_what_no_proxy_names_is_asked_directly(server: str, no_proxy: str, *, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        environ = {"HTTPS_PROXY": PROXY, name: no_proxy}
        assert proxy_for(server, None, environ) == (None if direct else PROXY)


def test_the_kubeconfig_s_proxy_goes_before_the_environment_s() -> None:
    environ = {"HTTPS_PROXY": "http://other", "NO_PROXY": "*"}
    assert proxy_for("https://api.example", PROXY, environ) == PROXY


def test_a_proxy_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="socks5://"):
        proxy_for("https://api.example", "socks5://proxy.example:1080", {})


def kubeconfig(directory: Path, **cluster: Any) -> Path:
    path = directory / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t0"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


async def test_both_ways_to_name_a_proxy_lead_to_the_configuration(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, **{"server": "https://api.example", "proxy-url": PROXY})
    access: Any = await load_access(path, {})
    assert access.configuration.proxy == PROXY
    path = kubeconfig(tmp_path, server="https://api.example")
    access = await load_access(path, {"HTTPS_PROXY": PROXY})
    assert access.configuration.proxy == PROXY


async def test_requests_go_through_the_proxy_that_the_start_found(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers = [ok(**OBJ), ok(**OBJ)]
    async with Tunnel(api.port).serve() as tunnel:
        monkeypatch.setenv("HTTP_PROXY", tunnel.url.replace("//", "//me:secret@"))
        path = kubeconfig(tmp_path, server="http://api.invalid:6443")
        async with Cluster.connect(path) as cluster:
            monkeypatch.delenv("HTTP_PROXY")
            for _ in range(2):
                assert await cluster.get(PODS, "prod", "web") == OBJ
    first = tunnel.heads[0]
    assert first.startswith("GET http://api.invalid:6443/api/v1/namespaces/prod/pods/web HTTP/1.1")
    assert "Proxy-Authorization: Basic" in first


async def test_a_server_of_tls_is_reached_through_a_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.invalid").configure_cert(context)

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(OBJ)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    try:
        assert server.port is not None
        async with Tunnel(server.port).serve() as tunnel:
            monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
            ca = str(tmp_path / "ca.crt")
            path = kubeconfig(
                tmp_path, **{"server": "https://api.invalid:6443", "certificate-authority": ca}
            )
            async with Cluster.connect(path) as cluster:
                assert await cluster.get(PODS, "prod", "web") == OBJ
        assert tunnel.heads[0].startswith("CONNECT api.invalid:6443 HTTP/1.1")
    finally:
        await server.close()


async def test_what_comes_into_the_environment_later_is_not_read(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    api.answers = [ok(**OBJ)]
    async with api.cluster(token="") as cluster:
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert await cluster.get(PODS, "prod", "web") == OBJ
    assert "Authorization" not in api.requests[0].headers


async def test_no_request_looks_into_the_environment(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    for name in ("netrc_from_env", "get_env_proxy_for_url"):
        monkeypatch.setattr(f"aiohttp.client.{name}", lambda *_, name=name: looked.append(name))
    api.answers = [ok(**OBJ)] * 5
    async with api.cluster() as cluster, asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(cluster.get(PODS, "prod", "web"))
    assert looked == []
