"""A real Flagger over one namespace, built once from its module and run beside the cluster."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import builds, downloads, paths
from sandbox.versions import FLAGGER_BUILD, GO
from tests.cluster.kit import Json, Kubectl
from tests.cluster.own_api_server import free_port


@contextmanager
def flagger(kubectl: Kubectl, folder: Path) -> Iterator[None]:
    """Run Flagger over a namespace, until the end of the block; its log is kept in the folder."""
    downloads.ensure_python_tools([GO])
    builds.ensure([FLAGGER_BUILD])
    with (folder / "flagger.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - what was built just now
            [
                paths.binary(FLAGGER_BUILD, "flagger"),
                f"-kubeconfig={kubectl.kubeconfig}",
                f"-namespace={kubectl.namespace}",
                "-mesh-provider=gatewayapi:v1",
                "-enable-config-tracking=false",
                "-log-level=info",
                f"-port={free_port()}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def for_flagger(canary: Json, host: str) -> Json:
    """Return a Canary with what Flagger needs to make its route and to judge.

    Headgate takes it as it is.
    """
    spec = canary["spec"]
    metric = {
        "name": "success",
        "templateRef": {"name": "success"},
        "thresholdRange": {"min": 99},
        "interval": "30s",
    }
    served = {
        "hosts": [host],
        "gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}],
        # Without one Flagger 1.36 writes a timeout of "" for what matches, which is refused.
        "timeout": "30s",
    }
    return {
        **canary,
        "spec": {
            **spec,
            "provider": "gatewayapi:v1",
            "service": {**spec["service"], **served},
            "analysis": {**spec["analysis"], "metrics": [metric]},
        },
    }


def success_template(kubectl: Kubectl) -> Json:
    """Return what both judge by: requests at the pods of the target's name."""
    server = kubectl.within("monitoring").get("service", "prometheus")["spec"]["clusterIP"]
    pods = (
        'http_requests_total{namespace="{{ namespace }}",'
        'kubernetes_pod_name=~"{{ target }}-[0-9a-z]+-[0-9a-z]+"'
    )
    every, good = f"{pods}}}[30s]", f'{pods},status!~"5.."}}[30s]'
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "success"},
        "spec": {
            "provider": {"type": "prometheus", "address": f"http://{server}:9090"},
            "query": f"100 * sum(rate({good})) / sum(rate({every}))",
        },
    }
