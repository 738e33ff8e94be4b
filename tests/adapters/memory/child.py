"""`python -m tests.adapters.memory.child ATTACK ARGUMENT...`: one attack on a process of its own.

It prints what it took, as JSON: `before` and `after` are what is resident, `peak` the most that
ever was, in KiB.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Sized
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from analyzer.__main__ import LEASE  # all that the daemon loads counts
from analyzer.addresses import EVERYWHERE
from analyzer.loop.following import follow
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.pod_pages.scraper import open_scraper
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from runtime.kube import Cluster

Attack = Callable[..., Coroutine[Any, Any, dict[str, Any]]]
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
PAST: Final[dict[str, dict[str, Any]]] = {
    "query": {"interval": timedelta(minutes=1)},
    "series": {},
    "history": {"start": _NOW, "end": _NOW, "step": timedelta(seconds=1)},
}


def kib(field: str) -> int:
    """Return a field of the process' memory: VmRSS, or VmHWM, which is the peak."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


async def informers(kubeconfig: str, idle: str) -> dict[str, Any]:
    """Have the informers follow a cluster, `idle` seconds after they have all of it."""
    async with Cluster.connect(kubeconfig) as cluster:
        index = follow(cluster, ())
        before = kib("VmRSS")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(informer.run()) for informer in index.informers]
            await index.synced()
            await asyncio.sleep(float(idle))
            found = {"before": before, "after": kib("VmRSS"), "known": len(index.targets.store)}
            for task in tasks:
                task.cancel()
    return found


async def answers(url: str, count: str, kind: str) -> dict[str, Any]:
    """Ask a Prometheus, and so many namespaces at the same time."""
    provider = PrometheusProvider(EVERYWHERE)
    spec = [
        ProviderSpec(type="prometheus", address=url, asker=f"team-{number}")
        for number in range(int(count))
    ]
    before = kib("VmRSS")
    found = await together(getattr(provider, kind)(one, "attack", **PAST[kind]) for one in spec)
    await provider.aclose()
    return {"before": before, "after": kib("VmRSS"), "said": found}


async def pages(count: str, *urls: str) -> dict[str, Any]:
    """Read so many pods' pages at the same time."""
    async with open_scraper() as scraper:
        before = kib("VmRSS")
        names = frozenset({"a"})
        found = await together(
            scraper.scrape(url, names, f"run-{number % 8}")
            for url in urls
            for number in range(int(count))
        )
    return {"before": before, "after": kib("VmRSS"), "said": found}


async def together(asked: Iterable[Coroutine[Any, Any, Sized]]) -> list[str]:
    """Wait for all, and return what they say or how much they return; nothing of it is kept."""

    async def one(it: Coroutine[Any, Any, Sized]) -> str:
        try:
            return f"{len(await it)} read"
        except ProviderError as error:
            return str(error)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(it)) for it in asked]
    return sorted({task.result() for task in tasks})


ATTACKS: Final[dict[str, Attack]] = {"informers": informers, "answers": answers, "pages": pages}


def main() -> None:
    """Run one, and print what it took."""
    assert LEASE
    name, *arguments = sys.argv[1:]
    found = asyncio.run(ATTACKS[name](*arguments))
    sys.stdout.write(json.dumps({**found, "peak": kib("VmHWM")}))


if __name__ == "__main__":
    main()
