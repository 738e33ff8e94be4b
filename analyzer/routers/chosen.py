"""One router of all: what carries a run's traffic is chosen by its strategy."""

from analyzer.ports import Cluster
from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.by_pods import ByPods
from canary.model.strategy import Kind, Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.model.world import Split


class Chosen:
    """Routes, or pods of the canary in the team's Service. See `analyzer.ports.Router`.

    Args:
        cluster: the API server.

    """

    def __init__(self, cluster: Cluster) -> None:
        self._routes = AdoptedRoutes(cluster)
        self._pods = ByPods(cluster)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the split of what the strategy goes by."""
        by_pods = strategy.kind is Kind.PODS
        return await (self._pods if by_pods else self._routes).read_split(key, strategy)

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic; by the way that its run has left it has none any more."""
        if strategy.kind is Kind.PODS:
            await self._pods.write_split(key, strategy, traffic)
            return
        if traffic.is_nothing:
            await self._pods.clean(key)
        await self._routes.write_split(key, strategy, traffic)

    async def clean(self, key: Key) -> bool:
        """Take the canary out of every route and every Service of the team."""
        pods = await self._pods.clean(key)
        return await self._routes.clean(key) or pods

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route where the Canary asks for one."""
        await self._routes.ensure(key, strategy, owner)

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        """Say what has the own route's name and is not ours."""
        return await self._routes.in_the_way(key, strategy, canary)
