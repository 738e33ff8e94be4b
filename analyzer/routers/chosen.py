"""One router of all: what carries a run's traffic is chosen by its strategy and what is there."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from analyzer.ports import Cluster, SplitRefused
from analyzer.routers.adopted import AdoptedRoutes, nobody
from analyzer.routers.by_pods import ByPods
from analyzer.routers.companions import BesideIngresses
from analyzer.routers.kinds import Kinds
from analyzer.routers.let_in import Places, nowhere
from analyzer.routers.stood import Stood
from analyzer.routers.withheld import Withheld
from canary.model.strategy import Kind, Strategy
from canary.model.traffic import NOTHING, Traffic, by_size
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.routes.nginx import PREFIX
from runtime.errors import ApiError
from runtime.heard import Readable
from runtime.writes import Overtaken


class Chosen:
    """Routes and Ingresses, or pods of the canary in the team's Service.

    See `analyzer.ports.Router`.

    Args:
        cluster: the API server.
        prefix: what the annotations of ingress-nginx begin with.
        marked: tells which routes carry a target's split, as far as it is heard of.
        reads: what is read where it need not be what is stored this very moment.
        clock: a monotonic one, in seconds.
        wrote: is told of each version of a route that was written here, once it is all right.

    """

    def __init__(
        self,
        cluster: Cluster,
        prefix: str = PREFIX,
        marked: Places = nowhere,
        reads: Readable | None = None,
        clock: Callable[[], float] = time.monotonic,
        wrote: Callable[[Json], None] = nobody,
    ) -> None:
        self._routes = AdoptedRoutes(cluster, marked=marked, reads=reads, clock=clock, wrote=wrote)
        self._ingresses = BesideIngresses(cluster, prefix, reads)
        self._pods = ByPods(cluster, reads)
        self._withheld = Withheld(Kinds(cluster, reads=reads), marked)
        self._stood = Stood(clock)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the split of what the strategy goes by."""
        split = await self._read(key, strategy)
        return replace(split, stood_for=self._stood.lasted(key, split.traffic))

    async def _read(self, key: Key, strategy: Strategy) -> Split:
        if strategy.kind is Kind.PODS:
            return await self._pods.read_split(key, strategy)
        split = together(
            await self._routes.read_split(key, strategy),
            await self._ingresses.read_split(key, strategy),
        )
        return lacking(split, await self._withheld.of(key))

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic; by the way that its run has left it has none any more."""
        if strategy.kind is Kind.PODS:
            await self._pods.write_split(key, strategy, traffic)
            return
        refused = await self._written(key, strategy, traffic)
        if not refused:
            self._stood.lasted(key, traffic)
        refused += [f"cannot split {it}" for it in await self._withheld.of(key)]
        if refused:
            raise SplitRefused("; ".join(refused))

    async def _written(self, key: Key, strategy: Strategy, traffic: Traffic) -> list[str]:
        """Write all that can be written, and return what was refused."""
        ways: list[Callable[[], Awaitable[object]]] = [
            partial(it.write_split, key, strategy, traffic)
            for it in (self._routes, self._ingresses)
        ]
        if traffic.is_nothing:
            # Last, for pods are asked for: what comes by routes waits for no answer.
            ways.append(partial(self._pods.clean, key))
        refused, failed = list[str](), list[ApiError | Overtaken]()
        for write in ways:  # whatever becomes of one, the others are written
            try:
                await write()
            except SplitRefused as refusal:
                refused.append(str(refusal))
            except (ApiError, Overtaken) as failure:
                failed.append(failure)
        for error in failed:
            raise error
        return refused

    async def clean(self, key: Key) -> bool:
        """Take the canary out of every route, Ingress and Service of the team."""
        found, failed = False, list[ApiError | Overtaken]()
        for way in (self._pods, self._routes, self._ingresses):
            try:
                found = await way.clean(key) or found
            except (ApiError, Overtaken) as failure:
                failed.append(failure)
        for error in failed:
            raise error
        await self._withheld.refuse(key)
        return found

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route where the Canary asks for one."""
        await self._routes.ensure(key, strategy, owner)

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        """Say what has the own route's name, or a companion's, and is not ours."""
        found = await self._routes.in_the_way(key, strategy, canary)
        return found or await self._ingresses.in_the_way(key, strategy)


def together(*ways: Split) -> Split:
    """Return what several ways to a Service come to; one without a route carries nothing.

    Args:
        ways: the split by each.

    """
    there = [one for one in ways if one.routes]
    if len(there) <= 1:
        [split] = there or ways[:1]
        return replace(
            split, even=all(one.even for one in ways), problem=_said(one.problem for one in ways)
        )
    return Split(
        traffic=max((one.traffic for one in there), key=by_size, default=NOTHING),
        routes=sum(one.routes for one in there),
        even=len({one.traffic for one in there}) == 1 and all(one.even for one in ways),
        confirmed=all(one.confirmed for one in ways),
        problem=_said(one.problem for one in ways),
        declined=_said(one.declined for one in ways),
        lag=_said(one.lag for one in ways),
        unheard=_said(one.unheard for one in ways),
        carried_for=min((it for one in ways if (it := one.carried_for) is not None), default=None),
    )


def lacking(split: Split, withheld: Sequence[str]) -> Split:
    """Return a split with what is said of routes that cannot be read any more.

    What they carry is not known, and not what is asked for.
    """
    if not withheld:
        return split
    said = (split.problem, *withheld)
    return replace(
        split,
        routes=split.routes + len(withheld),
        even=False,
        problem="; ".join(it for it in said if it),
    )


def _said(words: Iterable[str]) -> str:
    return "; ".join(filter(None, words))
