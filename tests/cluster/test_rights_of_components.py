"""Every right that a component grants is used by what it is for: none is granted in vain.

The API server is the test's own. It lets in what is granted and nothing else, and writes down who
has asked for what; who asks is the code that asks in production, as the account that it runs as.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE
from analyzer.fetching import Fetcher
from analyzer.metric_providers.externalmetrics import ExternalMetrics
from analyzer.metric_providers.keptn import Keptn
from analyzer.ports import ProviderError
from analyzer.routers.by_pods import ByPods
from analyzer.routers.chosen import Chosen
from analyzer.routers.kinds import BESIDE, RESOURCES, RIGHTS, WATCHED
from canary.contract import JOINS, MANAGED_BY, MANAGED_BY_LABEL, TARGET_LABEL
from canary.model.strategy import Kind, OwnRoute, Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.objects.joining import joining
from canary.queries.provider import ProviderSpec
from canary.spec.steps import linear
from loadtester.job_templates import JobOrder
from loadtester.jobs import JobEnd, JobRunner
from loadtester.settings import Settings
from runtime.informer import Informer
from runtime.kube import Cluster
from runtime.resources import INGRESSES, INGRESSROUTES, PODS
from runtime.writes import deleted, patched
from sandbox import audit
from tests.cluster import test_ingresses_beside as ingresses
from tests.cluster import test_routes_applied as routes
from tests.cluster.kit import MANIFESTS, Kubectl, destination_rule, wait_for
from tests.cluster.own_api_server import OwnServer, own_api_server
from tests.unit.manifests.installation import (
    LOAD_TESTERS,
    METRIC_RIGHTS,
    POD_SHARES,
    documents,
    files,
)

pytestmark = pytest.mark.cluster
WEB = Key(namespace="prod", name="web")
MINUTE: Final = timedelta(minutes=1)
TESTER: Final = "flagger-loadtester"
TESTERS_USER: Final = f"system:serviceaccount:prod:{TESTER}"
BY_PODS = Strategy(
    interval=MINUTE, threshold=1, steps=linear((50,)), kind=Kind.PODS, service_name="web"
)
NOTE = '{"in":{"app":"web"},"out":{"app":"web-canary"},"target":"web"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A namespace of an API server that grants what it is told to, and what was used of it."""

    server: OwnServer
    kubectl: Kubectl
    folder: Path

    def grant(self, component: Path) -> None:
        """Grant what an admin grants with a component."""
        for file in files(component):
            if file.name != "kustomization.yaml":
                self.kubectl("apply", "-f", str(file))

    def idle(self, component: Path, namespace: str = audit.NAMESPACE) -> set[tuple[str, str]]:
        """Return kind and verb of what nobody has needed of a component's rights."""
        lines = (self.folder / "audit.log").read_text().splitlines()
        objects = [
            obj
            for file in files(component)
            if file.name != "kustomization.yaml"
            for obj in documents(file)
        ]
        found = audit.idle(objects, audit.used(lines, namespace))
        return {(right.resource, right.verb) for right in found}

    def is_used(self, component: Path) -> bool:
        """Tell whether somebody has needed all of a component's rights."""
        return not self.idle(component)


@contextmanager
def _server(admin: Kubectl, folder: Path) -> Iterator[Granted]:
    flags = audit.flags(folder / "audit-policy.yaml", folder / "audit.log", TESTERS_USER)
    with own_api_server(folder, admin.program, "--authorization-mode=RBAC", *flags) as server:
        kubectl = server.kubectl
        for namespace in ("prod", "headgate-system"):
            kubectl("create", "namespace", namespace)
        kubectl("apply", "-f", str(MANIFESTS / "rbac" / "analyzer.yaml"))
        yield Granted(server=server, kubectl=kubectl.within("prod"), folder=folder)


@pytest.fixture
def granted(admin: Kubectl, tmp_path: Path) -> Iterator[Granted]:
    with _server(admin, tmp_path) as found:
        yield found


@pytest.fixture
async def analyzer(granted: Granted) -> AsyncIterator[Cluster]:
    async with Cluster.connect(granted.server.analyzer) as found:
        yield found


def _pod(name: str, labels: dict[str, str], **notes: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": notes},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{"name": "app", "image": "web:1"}],
        },
    }


def _canarys(name: str) -> Json:
    return _pod(name, {"app": "web-canary", TARGET_LABEL: "web"}, **{JOINS: NOTE})


async def test_pods_join_and_leave_by_what_pod_shares_grants(
    granted: Granted, analyzer: Cluster
) -> None:
    kubectl = granted.kubectl
    kubectl("create", "serviceaccount", "default")
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    kubectl.apply(_pod("web-1", {"app": "web"}), _canarys("web-canary-1"), _canarys("web-canary-2"))
    ready = '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
    for name in ("web-1", "web-canary-1", "web-canary-2"):
        kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", ready)
    granted.grant(POD_SHARES)
    may = ("auth", "can-i", "patch", "pods", "--as", audit.ANALYZER)
    wait_for("the rights", lambda: kubectl.run(*may).returncode == 0, 30)

    router = ByPods(analyzer)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    assert len(kubectl.items("pods", "-l", "app=web")) == 2
    # Somebody else writes to a pod between the look at it and the write to it.
    [apart] = kubectl.items("pods", "-l", "app=web-canary")
    kubectl("annotate", "pod", apart["metadata"]["name"], "team=shop")
    await patched(analyzer, PODS, apart, lambda pod: joining(pod, "web"))
    assert len(kubectl.items("pods", "-l", "app=web")) == 3
    assert await router.clean(WEB)
    assert len(kubectl.items("pods", "-l", "app=web")) == 1
    assert granted.idle(POD_SHARES) == set()


async def test_routes_are_split_by_what_their_components_grant(
    granted: Granted, analyzer: Cluster
) -> None:
    components = _with_routes(granted)
    kubectl = granted.kubectl
    for kind in RIGHTS.keys() & RESOURCES.keys():
        await _is_split(kubectl, analyzer, routes.made(kind, "team.example"))
    for own in routes.OWN:
        await _is_made(kubectl, analyzer, own)
    kubectl.apply(ingresses.target())
    await _is_split(kubectl, analyzer, ingresses.ingress("team.example"))
    await _is_read_again(kubectl, analyzer, ingresses.ingress("team.example"))
    await _is_read_after_a_conflict(kubectl, analyzer)
    for component in components:
        assert {verb for _, verb in granted.idle(component)} <= {"watch"}

    async with asyncio.TaskGroup() as group:
        following = [group.create_task(Informer(analyzer, WATCHED[kind]).run()) for kind in RIGHTS]
        for component in components:
            done = partial(granted.is_used, component)
            await asyncio.to_thread(wait_for, f"all of {component.name}", done, 30)
        for task in following:
            task.cancel()


def _with_routes(granted: Granted) -> set[Path]:
    """Have all kinds of routes served, and grant them."""
    kubectl = granted.kubectl
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(routes.crds()))
    for resource in (*WATCHED.values(), *BESIDE.values()):
        served = ("get", f"{resource.plural}.{resource.group}")
        wait_for("the kinds", lambda: kubectl.run(*served).returncode == 0, 30)  # noqa: B023
    found = {MANIFESTS / "route-rights" / name for name in RIGHTS.values()}
    for component in found:
        granted.grant(component)
    for kind in RIGHTS:
        may = ("auth", "can-i", "patch", WATCHED[kind].plural, "--as", audit.ANALYZER)
        wait_for("the rights", lambda: kubectl.run(*may).returncode == 0, 30)  # noqa: B023
    return found


async def _is_split(kubectl: Kubectl, analyzer: Cluster, written: Json) -> None:
    """Split what a team has, beside which there may be a policy, and leave it as it was."""
    kind, router = written["kind"].lower(), Chosen(analyzer)
    strategy = replace(routes.STRATEGY, ingress=written["metadata"]["name"])
    by_ingress = replace(strategy, provider="nginx", routed_by=("Ingress",))
    strategy = by_ingress if kind == "ingress" else routes.STRATEGY
    kubectl.apply(written, destination_rule("web", {"tls": {"mode": "SIMPLE"}}))
    for name in ("web", "web-canary"):
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
        kubectl.apply({**service, "spec": {"ports": [{"port": 80}]}})
    for weight in (10, 20):
        await router.write_split(WEB, strategy, Traffic(weight))
        assert not (await router.read_split(WEB, strategy)).lacks(Traffic(weight))
    assert await router.clean(WEB)
    kubectl("delete", f"{kind},destinationrule,service", "--all")


async def _is_read_again(kubectl: Kubectl, analyzer: Cluster, written: Json) -> None:
    """Write to what stands beside an Ingress between the look at it and its end."""
    kubectl.apply(written)
    await Chosen(analyzer).write_split(WEB, ingresses.NAMED, Traffic(10))
    seen = kubectl.get("ingress", ingresses.OURS)
    kubectl("annotate", "ingress", ingresses.OURS, "team=shop")
    await deleted(analyzer, INGRESSES, seen)
    kubectl("delete", "ingress", "--all")


async def _is_read_after_a_conflict(kubectl: Kubectl, analyzer: Cluster) -> None:
    """Write to an IngressRoute, of which none is made here, between a look at it and a patch."""
    written = routes.made(INGRESSROUTES.kind, "team.example")
    kubectl.apply(written)
    name = written["metadata"]["name"]
    seen = kubectl.get("ingressroute", name)
    kubectl("annotate", "ingressroute", name, "team=shop")
    split = {"metadata": {"annotations": {"split": "10"}}}
    await patched(analyzer, INGRESSROUTES, seen, lambda _: split)
    assert kubectl.get("ingressroute", name)["metadata"]["annotations"]["team"] == "shop"
    kubectl("delete", "ingressroute", "--all")


async def _is_made(kubectl: Kubectl, analyzer: Cluster, own: OwnRoute) -> None:
    """Make a route where the team has none, and make it again."""
    router = Chosen(analyzer)
    strategy = replace(routes.STRATEGY, own_route=own, service_port=80)
    for _ in range(2):
        await router.ensure(WEB, strategy, routes.OWNER)
        kubectl("annotate", own.kind, "web", "team=shop", "--overwrite")
    kubectl("delete", f"{own.kind},destinationrule", "--all")


def _crd(plural: str, kind: str) -> Json:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.metrics.keptn.sh"},
        "spec": {
            "group": "metrics.keptn.sh",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                }
            ],
        },
    }


def _of_keptn(kind: str, name: str, labels: dict[str, str], **status: object) -> Json:
    metadata = {"name": name, "labels": labels}
    api = "metrics.keptn.sh/v1"
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "status": status}


async def test_metrics_of_the_cluster_are_read_by_what_metric_rights_grants(
    granted: Granted, analyzer: Cluster
) -> None:
    kubectl = granted.kubectl
    kubectl.apply(_crd("keptnmetrics", "KeptnMetric"), _crd("analyses", "Analysis"))
    for plural in ("keptnmetrics", "analyses"):
        wait_for(plural, lambda: kubectl.run("get", plural).returncode == 0, 30)  # noqa: B023
    now = f"{analyzer.now():%Y-%m-%dT%H:%M:%SZ}"
    kubectl.apply(
        _of_keptn("KeptnMetric", "errors", {}, value="12.5", lastUpdated=now),
        _of_keptn("Analysis", "left-behind", {MANAGED_BY_LABEL: MANAGED_BY}),
    )
    granted.grant(METRIC_RIGHTS)
    may = ("auth", "can-i", "create", "analyses.metrics.keptn.sh", "--as", audit.ANALYZER)
    wait_for("the rights", lambda: kubectl.run(*may).returncode == 0, 30)

    keptn = Keptn(analyzer, clock=analyzer.now, every=0.1)
    spec = ProviderSpec(type="keptn", address="", asker="prod")
    assert await keptn.query(spec, "keptnmetric/prod/errors", MINUTE) == (12.5,)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(keptn.query(spec, "analysis/prod/mine", MINUTE))
        await asyncio.to_thread(_ends, kubectl)
    assert asked.result() == (1.0,)
    # Keptn has it deleted again. What is older than any answer is deleted with the next.
    assert "mine" not in str(kubectl.items("analyses"))

    external = ExternalMetrics(Fetcher(EVERYWHERE, clock=analyzer.now), analyzer)
    with pytest.raises(ProviderError):  # nobody serves that API here
        await external.query(replace(spec, type="externalmetrics"), "prod/queue", MINUTE)
    assert granted.idle(METRIC_RIGHTS) == set()


def _ends(kubectl: Kubectl) -> None:
    """End the Analysis that is made, as Keptn does."""

    def made() -> str:
        names = [it["metadata"]["name"] for it in kubectl.items("analyses")]
        return next((one for one in names if one.startswith("mine-")), "")

    name = wait_for("an Analysis", made, 8, every=0.1)
    ended = '{"status":{"state":"Completed","pass":true}}'
    kubectl("patch", "analyses", name, "--type=merge", "-p", ended)


@asynccontextmanager
async def _as_the_tester(granted: Granted) -> AsyncIterator[Cluster]:
    """Connect as the account of the load tester."""
    token = granted.kubectl("create", "token", TESTER).strip()
    config = yaml.safe_load(granted.server.analyzer.read_text())
    config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
    path = granted.folder / "tester.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with Cluster.connect(path) as found:
        yield found


async def test_jobs_are_made_and_followed_by_what_their_component_grants(granted: Granted) -> None:
    kubectl, [jobs, _] = granted.kubectl, LOAD_TESTERS
    templates = _with_jobs(granted)
    may = ("auth", "can-i", "create", "jobs", "--as", TESTERS_USER)
    wait_for("the rights", lambda: kubectl.run(*may).returncode == 0, 30)

    settings = Settings(namespace="prod", jobs=str(templates), job_pace=timedelta(seconds=0.2))
    async with _as_the_tester(granted) as cluster, asyncio.TaskGroup() as group:
        runner = JobRunner(settings, CollectorRegistry(), cluster)
        running = group.create_task(runner.run())
        wanted = JobOrder(canary="web.prod", template="smoke", arguments=("--quick",))
        while not runner.accepting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        order = group.create_task(runner.start_and_wait(wanted))
        await asyncio.to_thread(_deletes, kubectl)
        assert (await order).end is JobEnd.FAILED
        running.cancel()
    assert granted.idle(jobs, "prod") == set()


def _with_jobs(granted: Granted) -> Path:
    """Install a load tester with its right to Jobs, and return the folder of its templates."""
    part = os.path.relpath(MANIFESTS / "loadtester", granted.folder.resolve())
    kustomization = {
        "namespace": "prod",
        "resources": [part],
        "components": [f"{part}/jobs"],
    }
    (granted.folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    granted.kubectl("apply", "-k", str(granted.folder))
    templates = granted.folder / "templates"
    templates.mkdir()
    container = {"name": "smoke", "image": "shop/smoke:1"}
    pods = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pods}}
    (templates / "smoke.yaml").write_text(yaml.safe_dump(job))
    return templates


def _deletes(kubectl: Kubectl) -> None:
    """Delete the Job that is made, as a person may."""
    [job] = wait_for("a Job", lambda: kubectl.items("jobs"), 30)
    kubectl("delete", "job", job["metadata"]["name"], "--cascade=background")
