"""`python -m tests.adapters.memory.child ATTACK ARGUMENT...`: one attack on a process of its own.

It prints what it took, as JSON: `before` and `after` are what is resident, `peak` the most that
ever was, in KiB.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import analyzer.__main__ as daemon  # all that the daemon loads counts
from analyzer.addresses import EVERYWHERE
from analyzer.loop.following import follow
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.pod_pages.scraper import open_scraper
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from runtime.kube import Cluster

Attack = Callable[..., Awaitable[object]]


def kib(field: str) -> int:
    """Return a field of the process' memory: VmRSS, or VmHWM, which is the peak."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


async def informers(kubeconfig: str, idle: str) -> object:
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


async def answers(url: str, count: str, kind: str) -> object:
    """Ask a Prometheus, and so many namespaces at the same time."""
    provider = PrometheusProvider(EVERYWHERE)
    spec = [
        ProviderSpec(type="prometheus", address=url, asker=f"team-{number}")
        for number in range(int(count))
    ]
    before = kib("VmRSS")
    asked = [getattr(provider, kind)(one, "attack") for one in spec]
    found = await asyncio.gather(*asked, return_exceptions=True)
    await provider.aclose()
    return {"before": before, "after": kib("VmRSS"), "said": said(found)}


async def pages(count: str, *urls: str) -> object:
    """Read so many pods' pages at the same time."""
    async with open_scraper() as scraper:
        before = kib("VmRSS")
        names = frozenset({"a"})
        asked = [scraper.scrape(url, names) for url in urls for _ in range(int(count))]
        found = await asyncio.gather(*asked, return_exceptions=True)
    return {"before": before, "after": kib("VmRSS"), "said": said(found)}


def said(found: list[object]) -> list[str]:
    """Return what came, a few words for each that differs."""
    texts = {
        str(it) if isinstance(it, ProviderError) else f"{type(it).__name__} {len(it)}"
        for it in found
        if isinstance(it, ProviderError | tuple)
    }
    texts |= {repr(it) for it in found if not isinstance(it, ProviderError | tuple)}
    return sorted(texts)


ATTACKS: Final[dict[str, Attack]] = {"informers": informers, "answers": answers, "pages": pages}


def main() -> None:
    """Run one, and print what it took."""
    assert daemon.main
    name, *arguments = sys.argv[1:]
    found = asyncio.run(ATTACKS[name](*arguments))
    assert isinstance(found, dict)
    sys.stdout.write(json.dumps({**found, "peak": kib("VmHWM")}))


if __name__ == "__main__":
    main()
