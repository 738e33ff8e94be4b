"""A hook that makes a Job from the admin's template: its pod runs, and its end decides."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from canary.contract import LOAD_TEST
from tests.cluster.judged import judged_canary
from tests.cluster.kit import (
    ENDED,
    MANIFESTS,
    Json,
    Kubectl,
    begun,
    message,
    phase,
    route,
    service,
    wait_for,
    web,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400, func_only=True)]
ASK: Final = (
    "import sys, urllib.request as it; print(it.urlopen(sys.argv[1], timeout=5).read().decode())"
)
TEMPLATE: Final[dict[str, Any]] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "smoke",
                        "image": "headgate/demo:1.0",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python3", "-c", ASK],
                    }
                ]
            }
        }
    },
}


def with_jobs(kubectl: Kubectl, folder: Path) -> None:
    """Give the namespace's load tester its right to Jobs, as its admin does, and a template."""
    part = os.path.relpath(MANIFESTS / "loadtester", folder.resolve())
    kustomization = {
        "namespace": kubectl.namespace,
        "resources": [part],
        "components": [f"{part}/jobs"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    templates = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "flagger-loadtester-jobs"},
        "data": {"smoke.yaml": json.dumps(TEMPLATE)},
    }
    kubectl.apply(templates)
    kubectl("apply", "-k", str(folder))
    kubectl("rollout", "status", "deployment/flagger-loadtester", "--timeout=120s", deadline=130)


def canary(kubectl: Kubectl, args: str) -> Json:
    """Return a Canary whose candidate has to pass the Job first."""
    made = judged_canary(interval="10s")
    made["spec"]["analysis"] |= {
        "threshold": 1,
        "metrics": [],
        "webhooks": [
            {
                "name": "smoke",
                "type": "pre-rollout",
                "url": f"http://flagger-loadtester.{kubectl.namespace}/",
                "timeout": "2m",
                "metadata": {"type": "job", "template": "smoke", "args": args},
            }
        ],
    }
    return made


def release(kubectl: Kubectl, version: str) -> str:
    """Release a version and return the phase that it ends in."""
    kubectl("set", "env", "deployment/web", f"VERSION={version}")
    begun(kubectl)
    wait_for("a verdict", lambda: phase(kubectl) in ENDED, 150)
    return phase(kubectl)


def test_a_jobs_end_decides_and_its_output_is_in_its_log(
    namespace: Kubectl, host: str, tmp_path: Path
) -> None:
    with_jobs(namespace, tmp_path)
    address = f"http://web-canary.{namespace.namespace}:80/"
    namespace.apply(web("headgate/demo:1.0"), service(), route(host), canary(namespace, address))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("initialized", lambda: phase(namespace) == "Initialized", 30)

    assert release(namespace, "good") == "Succeeded", message(namespace)
    said = namespace("logs", f"--selector={LOAD_TEST}=smoke")
    assert "headgate demo good" in said

    namespace.apply(canary(namespace, address.replace(":80", ":81")))
    assert release(namespace, "next") == "Failed", message(namespace)
    assert "smoke" in message(namespace)
    states = [job["status"].get("failed", 0) for job in namespace.items("jobs")]
    assert sorted(states) == [0, 1]
