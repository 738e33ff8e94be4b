"""A cluster that exists already, named by KUBECONFIG: checked, never changed."""

import json
import os
import re
import shutil
from pathlib import Path

from sandbox import downloads, paths, shell
from sandbox.report import SandboxError
from sandbox.versions import KUBECTL, OLDEST_KUBERNETES


def chosen() -> str | None:
    """The user's KUBECONFIG; None if it is unset or the sandbox's own."""
    value = os.environ.get("KUBECONFIG", "")
    return value if value and Path(value) != paths.KUBECONFIG else None


def check(kubeconfig: str) -> str:
    """Return the version of the cluster, or fail if it is out of reach or too old."""
    kubectl = shutil.which("kubectl") or _cached_kubectl()
    try:
        printed = shell.output(
            [kubectl, "get", "--raw", "/version", "--request-timeout=10s"],
            what="asking the cluster for its version",
            env={"KUBECONFIG": kubeconfig},
        )
    except SandboxError as error:
        raise SandboxError(
            f"the cluster of KUBECONFIG={kubeconfig} is out of reach: {error}"
        ) from (error)
    version: str = json.loads(printed)["gitVersion"]
    if parse_version(version) < OLDEST_KUBERNETES:
        oldest = ".".join(map(str, OLDEST_KUBERNETES))
        raise SandboxError(f"the cluster is Kubernetes {version}; {oldest} or later is needed")
    return version


def _cached_kubectl() -> str:
    downloads.ensure_python_tools((KUBECTL,))
    return str(downloads.tool_path(KUBECTL))


def parse_version(version: str) -> tuple[int, int]:
    """Major and minor of a version such as v1.30.4-eks-a737599."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None:
        raise SandboxError(f"the cluster's version cannot be read: {version}")
    return int(found[1]), int(found[2])
