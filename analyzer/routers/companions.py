"""Splits traffic by an Ingress of ours beside the team's own, which is never written.

What stands beside it is its companion (`canary.routes.nginx`). It is made with the first share,
follows the team's edits of its rules, is set to no share when the canary is to have none, and goes
with the canary: by its labels and owner, whatever has become of the Ingress beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from analyzer.ports import Cluster, SplitRefused
from analyzer.routers.kinds import Kinds
from canary.model.names import canary_name, canary_of
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic, by_size
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.objects.desired import owner_reference
from canary.objects.ownership import whose_it_is
from canary.routes.mark import TargetSplit
from canary.routes.nginx import PREFIX, Companions, beside, companion_name, leads_to, never_carried
from runtime.errors import ApiError, Forbidden, Invalid
from runtime.heard import Readable
from runtime.resources import DEPLOYMENTS, INGRESSES
from runtime.writes import Gone, Overtaken, applied, deleted, patched, stored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """An Ingress that leads to the stable, and its companion, None where there is none."""

    ingress: Json
    companion: Json | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What there is of a target: its pairs, what is in the way of others, and strays.

    A stray is a companion of the target's beside an Ingress that is not split for it any more.
    """

    pairs: tuple[_Pair, ...] = ()
    problems: tuple[str, ...] = ()
    strays: tuple[Json, ...] = ()


class BesideIngresses:
    """Reads and writes the companions of Ingresses.

    Four methods of `analyzer.ports.Router`, which says what they promise.

    Args:
        cluster: the API server.
        prefix: what the annotations of the Ingress controller begin with.
        reads: what is read where it need not be what is stored this very moment.

    """

    def __init__(
        self, cluster: Cluster, prefix: str = PREFIX, reads: Readable | None = None
    ) -> None:
        self._cluster = cluster
        self._reads = reads or cluster
        self._kinds = Kinds(cluster, reads=reads)
        self._nginx = Companions(prefix)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return what the canary gets by the Ingresses; no controller says that it has taken it."""
        found, split = await self._find(key, strategy), _split(strategy)
        carried = [self._carried(key, pair.companion) for pair in found.pairs]
        strays = any(not self._carried(key, one).is_nothing for one in found.strays)
        follow = all(self._follows(key, pair, split) for pair in found.pairs)
        return Split(
            traffic=max(carried, key=by_size, default=NOTHING),
            routes=len(found.pairs),
            even=len(set(carried)) <= 1 and follow and not strays,
            problem="; ".join(found.problems),
        )

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic by every Ingress; what is not asked for any more goes."""
        found = await self._find(key, strategy)
        refused = never_carried(traffic) if found.pairs else ""
        split = _split(strategy, NOTHING if refused else traffic)
        needed = found.pairs and not split.traffic.is_nothing
        owner = await self._owner(key) if needed else None
        failures = [(pair, await self._bring(key, pair, split, owner)) for pair in found.pairs]
        for stray in found.strays:
            await deleted(self._cluster, INGRESSES, stray)
        for _, failure in failures:
            if failure is not None and not isinstance(failure, Invalid | Forbidden):
                raise failure
        said = [f"{_called(pair.ingress)}: {failure}" for pair, failure in failures if failure]
        said += [f"{_called(pair.ingress)}: {refused}" for pair in found.pairs if refused]
        said += () if traffic.is_nothing else found.problems
        if said:
            raise SplitRefused(f"cannot split {'; '.join(sorted(said))}")

    async def clean(self, key: Key) -> bool:
        """Delete every companion that was made for the target, and tell whether there was any."""
        listed = await self._kinds.routes(INGRESSES.kind, key.namespace, afresh=True)
        found = [one for one in listed if _is_of(one, key)]
        for one in found:
            await deleted(self._cluster, INGRESSES, one)
        return bool(found)

    async def in_the_way(self, key: Key, strategy: Strategy) -> tuple[str, ...]:
        """Say why none can be split of those that the Canary asks for, or that lead there."""
        if strategy.routed_by and INGRESSES.kind not in strategy.routed_by:
            return await self._before_the_own(key, strategy)
        found = await self._find(key, strategy)
        if found.pairs or found.problems or not strategy.routed_by:
            return found.problems
        listed = await self._kinds.routes(INGRESSES.kind, key.namespace, afresh=True)
        named = next((one for one in listed if _name(one) == strategy.ingress), None)
        if named is None:
            why = f"there is no Ingress {strategy.ingress} in namespace {key.namespace}"
        elif self._nginx.is_canary(named):
            why = f"Ingress {strategy.ingress} is a canary itself; name the one it stands beside"
        else:
            why = (
                f"no rule of Ingress {strategy.ingress} leads to Service {strategy.service_name}; "
                "let one lead there, or write the Service's name into service.name"
            )
        return (f"ingressRef: {why}",)

    async def _before_the_own(self, key: Key, strategy: Strategy) -> tuple[str, ...]:
        """Say which Ingress would keep all requests from an own route of another kind."""
        if strategy.own_route is None:
            return ()
        listed = await self._kinds.routes(INGRESSES.kind, key.namespace, afresh=False)
        service = strategy.service_name
        named = sorted(_called(one) for one in listed if self._nginx.is_found(one, service))
        if not named:
            return ()
        said = (
            f"{', '.join(named)} leads to Service {service}, and the Canary asks for "
            f"{' or '.join(strategy.routed_by)} by its provider; take spec.provider out, or let "
            "the Ingress lead elsewhere"
        )
        return (said,)

    async def _find(self, key: Key, strategy: Strategy) -> _Found:
        listed = await self._kinds.routes(INGRESSES.kind, key.namespace, afresh=False)
        pairs, problems = list[_Pair](), list[str]()
        for ingress in listed:
            if not self._is_split(ingress, strategy):
                continue
            name = companion_name(_name(ingress), key.name)
            there = next((one for one in listed if _name(one) == name), None)
            if problem := self._problem(key, strategy, ingress, there, listed):
                problems.append(problem)
            else:
                pairs.append(_Pair(ingress=ingress, companion=there))
        paired = {_name(pair.companion) for pair in pairs if pair.companion is not None}
        strays = [one for one in listed if _is_of(one, key) and _name(one) not in paired]
        return _Found(pairs=tuple(pairs), problems=tuple(problems), strays=tuple(strays))

    def _is_split(self, ingress: Json, strategy: Strategy) -> bool:
        if strategy.routed_by and INGRESSES.kind not in strategy.routed_by:
            return False
        service = strategy.service_name
        if not strategy.ingress:
            return self._nginx.is_found(ingress, service)
        named = _name(ingress) == strategy.ingress and not self._nginx.is_canary(ingress)
        return named and leads_to(ingress, service)

    def _problem(
        self,
        key: Key,
        strategy: Strategy,
        ingress: Json,
        there: Json | None,
        listed: Sequence[Json],
    ) -> str:
        """Say why an Ingress can have no companion, "" where it can."""
        name, own = _called(ingress), companion_name(_name(ingress), key.name)
        if there is not None and not _is_of(there, key):
            return (
                f"Ingress {own} exists and is not the one beside {name} for deployment {key.name} "
                f"({whose_it_is(there)}); rename or delete it"
            )
        # Of two the controller takes the first, which is ours where it is there already.
        strange = [one for one in listed if not _is_of(one, key)]
        others = self._nginx.others(ingress, strategy.service_name, strange)
        if others and there is None:
            return (
                f"Ingress {', '.join(others)} is a canary of {name} already, and ingress-nginx "
                "takes one for each rule; delete it"
            )
        return ""

    def _carried(self, key: Key, companion: Json | None) -> Traffic:
        return NOTHING if companion is None else self._nginx.carried(companion, key.name)

    def _follows(self, key: Key, pair: _Pair, split: TargetSplit) -> bool:
        """Tell whether a companion that has traffic stands for all that its Ingress says now."""
        if pair.companion is None or self._carried(key, pair.companion).is_nothing:
            return True
        wanted = self._nginx.companion(pair.ingress, key.name, split, {})
        return self._nginx.follows(pair.companion, wanted, key.name)

    async def _owner(self, key: Key) -> Json | None:
        # Whoever writes a split has just read the target: what was heard is what is stored.
        target = await stored(self._reads, DEPLOYMENTS, key.namespace, key.name)
        if target is None:
            return None
        types = {"apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind}
        return owner_reference({**types, **target})

    async def _bring(
        self, key: Key, pair: _Pair, split: TargetSplit, owner: Json | None
    ) -> ApiError | Overtaken | None:
        """Bring a companion to a split, and return what kept it from there.

        With its owner gone, or with nothing to get, one that is not there is not made.
        """
        there = pair.companion
        if owner is None:
            if there is None:
                return None
            owner = next(iter(there["metadata"].get("ownerReferences") or ()), {})
        wanted = self._nginx.companion(pair.ingress, key.name, split, owner)
        if there is not None and self._stands(key, there, wanted, split):
            return None
        try:
            if there is None:
                await applied(self._cluster, INGRESSES, wanted, None)
            else:
                mend = partial(self._nginx.mended, wanted=wanted)
                await patched(self._cluster, INGRESSES, there, mend)
        except Gone:
            return None
        except (ApiError, Overtaken) as failure:
            return failure
        return None

    def _stands(self, key: Key, there: Json, wanted: Json, split: TargetSplit) -> bool:
        """Tell whether a companion is as it has to be."""
        owners = there["metadata"].get("ownerReferences") == wanted["metadata"]["ownerReferences"]
        same = self._nginx.carried(there, key.name) == split.traffic
        return owners and same and self._nginx.follows(there, wanted, key.name)


def _split(strategy: Strategy, traffic: Traffic = NOTHING) -> TargetSplit:
    stable = strategy.service_name
    return TargetSplit(stable=stable, canary=canary_name(stable), traffic=traffic)


def _is_of(obj: Json, key: Key) -> bool:
    """Tell whether an Ingress was made for a target of this name, perhaps one that has gone."""
    return canary_of(obj) == key.name and bool(beside(obj))


def _called(ingress: Json) -> str:
    return f"{INGRESSES.kind} {_name(ingress)}"


def _name(ingress: Json) -> str:
    return str(ingress["metadata"]["name"])
