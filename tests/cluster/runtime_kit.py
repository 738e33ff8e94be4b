"""What the tests of `runtime` on a real API server share."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from canary.contract import NAMESPACE_LABEL, NAMESPACE_UNMANAGED
from runtime.kube import Cluster
from runtime.resources import NAMESPACES


@asynccontextmanager
async def own_namespace(kubeconfig: Path) -> AsyncIterator[tuple[Cluster, str]]:
    """Connect, and make a namespace for one test, which is deleted in the end."""
    name = f"runtime-{uuid.uuid4().hex[:8]}"
    async with Cluster.connect(kubeconfig) as cluster:
        # An analyzer that is installed is to keep its hands off what the test's own one writes.
        labels = {NAMESPACE_LABEL: NAMESPACE_UNMANAGED}
        await cluster.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
        try:
            yield cluster, name
        finally:
            await cluster.delete(NAMESPACES, None, name)
