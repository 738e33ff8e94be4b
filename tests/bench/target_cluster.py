"""The cluster that is measured: $KUBECONFIG, else the sandbox if it is up; never started here."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL, SYSTEM_NAMESPACE
from sandbox import paths
from tests.bench.machine import ROOT
from tests.cluster.kit import Kubectl


class NoClusterError(Exception):
    """There is nothing to measure; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster with Headgate in it; `local` says that its containers run on this machine."""

    kubectl: Kubectl
    local: bool

    @property
    def kubeconfig(self) -> Path:
        """How it is reached."""
        return self.kubectl.kubeconfig

    @contextmanager
    def namespace(self, *, enabled: bool) -> Iterator[Kubectl]:
        """Lend a namespace of its own."""
        name = f"bench-{uuid.uuid4().hex[:6]}"
        self.kubectl("create", "namespace", name)
        try:
            if enabled:
                label = f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}"
                self.kubectl("label", "namespace", name, label)
            yield self.kubectl.within(name)
        finally:
            # Without raising: why the measurement ended matters more.
            self.kubectl.run("delete", "namespace", name, "--wait=false")


def find() -> Target:
    """Return the cluster.

    Raises:
        NoClusterError: there is none, or Headgate does not serve in it.

    """
    given = os.environ.get("KUBECONFIG")
    kubeconfig = Path(given) if given else paths.KUBECONFIG
    if not kubeconfig.exists():
        raise NoClusterError("no cluster (set KUBECONFIG, or make sandbox-up)")
    kubectl = Kubectl(kubeconfig, _program())
    asked = kubectl.run("get", "--raw", "/readyz", "--request-timeout=5s")
    if asked.returncode:
        raise NoClusterError(f"no cluster: that of {kubeconfig} does not answer")
    _installed(kubectl.within(SYSTEM_NAMESPACE))
    return Target(kubectl, local=kubeconfig == paths.KUBECONFIG)


def _installed(kubectl: Kubectl) -> None:
    for name in ("headgate-webhook", "headgate-analyzer"):
        found = kubectl.find("deployment", name)
        if found is None:
            raise NoClusterError("Headgate is not installed in the cluster (make install)")
        if not (found.get("status") or {}).get("readyReplicas"):
            raise NoClusterError(f"no pod of {SYSTEM_NAMESPACE}/{name} is ready")


def _program() -> str:
    """Return kubectl: the machine's, or else the sandbox's."""
    if found := shutil.which("kubectl"):
        return found
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "kubectl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoClusterError("no cluster can be asked: there is no kubectl")
    return done.stdout.strip()
