"""A namespace in which both versions serve behind a route, which the real router splits.

Nobody else's analyzer looks after it, and requests are counted where they arrive.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from analyzer.routers.adopted import AdoptedRoutes
from canary.model.steps import Step
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from runtime.kube import Cluster
from runtime.resources import DEPLOYMENTS, SERVICES, Resource
from tests.cluster.kit import Kubectl, service, wait_for, web
from tests.cluster.runtime_kit import own_namespace

STRATEGY = Strategy(
    interval=timedelta(seconds=10),
    threshold=1,
    steps=(Step(traffic=Traffic(100)),),
    service_name="web",
)
STABLE, CANARY = "headgate demo 1.0", "headgate demo 1.1"
AT_MOST = 60.0
"""Seconds until a gateway has taken a route: a second or two on a machine at rest."""
SURE = 20
"""Answers by one version that show a route: where each has 50 %, five come by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A namespace with both versions and a route, and who may split it."""

    router: AdoptedRoutes
    key: Key
    kubectl: Kubectl
    plain: Json
    host: str
    gateway: str
    strategy: Strategy = STRATEGY

    async def ask(
        self, number: int, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Counter[str]:
        """Send requests and return how many answers came from which version."""
        async with aiohttp.ClientSession(headers={"Host": self.host, **(headers or {})}) as session:
            return Counter(
                [await _answer(session, f"{self.gateway}/{query}") for _ in range(number)]
            )

    async def until(self, traffic: Traffic, seen: str, headers: Mapping[str, str]) -> None:
        """Write a split and wait until the gateway answers such requests by a version."""
        await self.router.write_split(self.key, self.strategy, traffic)
        async with asyncio.timeout(AT_MOST):
            while await self._answered(headers) != {seen: SURE}:  # noqa: ASYNC110 - a gateway tells nobody
                await asyncio.sleep(0.2)
        split = await self.router.read_split(self.key, self.strategy)
        assert (split.traffic, split.routes, split.even) == (traffic, 1, True)

    async def _answered(self, headers: Mapping[str, str]) -> Counter[str]:
        """Return who answers some requests; nobody where no gateway listens yet."""
        try:
            return await self.ask(SURE, headers)
        except aiohttp.ClientConnectorError:
            return Counter()

    def served(self, name: str) -> int:
        """Return how many requests the pods of a Service have had."""
        path = f"/api/v1/namespaces/{self.key.namespace}/services/{name}:http/proxy/metrics"
        page = self.kubectl("get", "--raw", path)
        counts = [line for line in page.splitlines() if line.startswith("http_requests_total{")]
        return sum(int(line.rsplit(" ", 1)[1]) for line in counts)

    def served_at_rest(self, name: str) -> int:
        """Return the same when it is still: nobody waits for copies, some may be on the way."""
        seen = [self.served(name)]

        def is_still() -> bool:
            time.sleep(1)
            seen.append(self.served(name))
            return seen[-1] == seen[-2]

        wait_for("no more copies", is_still, AT_MOST)
        return seen[-1]


async def _answer(session: aiohttp.ClientSession, address: str) -> str:
    async with session.get(address) as response:
        return (await response.text()).strip()


@asynccontextmanager
async def both_versions(
    kubeconfig: Path, admin: Kubectl, gateway: str, resource: Resource, made: Callable[[str], Json]
) -> AsyncIterator[Team]:
    """Make a namespace in which both versions serve and all traffic is the stable's.

    Args:
        kubeconfig: of the cluster.
        admin: kubectl with an admin's rights.
        gateway: address of its proxy.
        resource: the kind of the team's route.
        made: returns it for a host.

    """
    async with own_namespace(kubeconfig) as (cluster, name):
        kubectl, host = admin.within(name), f"{name}.example"
        stored = await deployed(cluster, kubectl, resource, made(host))
        found = Team(
            router=AdoptedRoutes(cluster),
            key=Key(namespace=name, name="web"),
            kubectl=kubectl,
            plain=stored["spec"],
            host=host,
            gateway=gateway,
        )
        await found.until(NOTHING, STABLE, {})
        yield found
        assert await found.router.clean(found.key)
        assert kubectl.get(resource.plural, "web")["spec"] == found.plain


def plain_app(image: str, name: str) -> Json:
    """Return a version of the demo app with one pod."""
    return web(image, replicas=1, name=name)


async def deployed(
    cluster: Cluster,
    kubectl: Kubectl,
    resource: Resource,
    route: Json,
    *,
    app: Callable[[str, str], Json] = plain_app,
    service: Callable[[str], Json] = service,
) -> Json:
    """Make both versions with their Services and the team's route, and wait for their pods.

    Args:
        cluster: with an admin's rights.
        kubectl: the same, of the namespace.
        resource: the kind of the route.
        route: the team's.
        app: returns a Deployment by its image and name.
        service: returns a Service by its name.

    Returns:
        The route as it was stored.

    """

    def placed(made: Json) -> Json:
        return {**made, "metadata": {**made["metadata"], "namespace": kubectl.namespace}}

    for name, version in (("web", "1.0"), ("web-canary", "1.1")):
        await cluster.create(DEPLOYMENTS, placed(app(f"headgate/demo:{version}", name)))
        await cluster.create(SERVICES, placed(service(name)))
    stored = await cluster.create(resource, placed(route))
    for name in ("web", "web-canary"):
        kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=130)
    return stored
