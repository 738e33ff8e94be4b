"""The probes say which condition fails; metrics come from the registry that was passed in."""

from aiohttp import ClientSession
from prometheus_client import CollectorRegistry, Counter

from runtime.probes import Checks, application, serve


async def test_ready_only_while_all_conditions_hold_and_says_which_fails() -> None:
    synced = False
    ready = Checks(serving=lambda: True)
    ready.add("synced", lambda: synced)
    app = application(ready=ready, registry=CollectorRegistry())
    async with serve(app, host="127.0.0.1", port=0) as port, ClientSession() as client:
        url = f"http://127.0.0.1:{port}/readyz"
        async with client.get(url) as answer:
            assert (answer.status, await answer.text()) == (
                503,
                "[+] serving\n[-] synced\nfailing\n",
            )
        assert ready.failing() == ["synced"]
        synced = True
        async with client.get(url) as answer:
            assert (answer.status, await answer.text()) == (200, "[+] serving\n[+] synced\nok\n")


async def test_alive_without_being_ready() -> None:
    app = application(ready=Checks(never=lambda: False), registry=CollectorRegistry())
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert answer.status == 200


async def test_not_alive_when_a_liveness_condition_fails() -> None:
    app = application(
        ready=Checks(), alive=Checks(stuck=lambda: False), registry=CollectorRegistry()
    )
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert (answer.status, await answer.text()) == (503, "[-] stuck\nfailing\n")


async def test_metrics_of_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("reviews", "Reviews.", registry=registry).inc(3)
    app = application(ready=Checks(), registry=registry)
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert "reviews_total 3.0" in await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")
