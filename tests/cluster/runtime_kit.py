"""What the tests of `runtime` on a real API server share."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.kube import Cluster
from runtime.resources import NAMESPACES


@asynccontextmanager
async def own_namespace(kubeconfig: Path) -> AsyncIterator[tuple[Cluster, str]]:
    """Connect, and make a namespace for one test, which is deleted in the end."""
    name = f"runtime-{uuid.uuid4().hex[:8]}"
    async with Cluster.connect(kubeconfig) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        try:
            yield cluster, name
        finally:
            await cluster.delete(NAMESPACES, None, name)
