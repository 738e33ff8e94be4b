"""Splits traffic on the team's own routes, and on those made from a Canary, whatever their kind.

What a split looks like is the kind's dialect. Here routes are listed, marked, and written again
where somebody else was faster. The analyzer writes the mark; the route webhook turns it into
weights, so that the fields the team applied stay the team's. Where the webhook did not (it is down,
not called, or another version), the weights are written here, together with the mark.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from analyzer.ports import Cluster, SplitRefused
from analyzer.routers.kinds import BESIDE, RESOURCES, Kinds
from analyzer.routers.policies import treat_alike
from canary.contract import SPLIT
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic, by_size
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.objects.desired import canary_name, owner_reference
from canary.objects.ownership import Ownership, owned_by, whose_it_is
from canary.routes.dialect import Dialect, Written
from canary.routes.from_service import beside_own, route_from_service
from canary.routes.known import DIALECTS
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of, text_of
from canary.routes.parents import contends, other_ports
from runtime.errors import ApiError, Forbidden, Invalid, NotFound
from runtime.resources import VIRTUALSERVICES, Resource
from runtime.writes import Gone, Overtaken, applied, deleted, patched, stored

Change = Callable[[Mark], Mark]
Failure = ApiError | Overtaken
_OWN: Final = {**RESOURCES, **BESIDE}


class AdoptedRoutes:
    """Reads and writes the splits of all routes. See `analyzer.ports.Router`.

    Args:
        cluster: the API server.
        dialects: the kinds of routes that are looked at.

    """

    def __init__(self, cluster: Cluster, dialects: Iterable[Dialect] = DIALECTS) -> None:
        self._cluster = cluster
        self._dialects = tuple(dialects)
        self._kinds = Kinds(cluster)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the split as it stands on every route that has traffic for the stable Service."""
        split = _split(strategy)
        routes = await self._leading(key, split, strategy.routed_by, strategy.service_port)
        carried = {_called(it): _carried(dialect, it, key, split) for dialect, it in routes}
        all_of_it = frozenset[Traffic]().union(*carried.values())
        return Split(
            traffic=max(all_of_it, key=by_size, default=NOTHING),
            routes=sum(bool(found) for found in carried.values()),
            even=len(all_of_it) <= 1,
            confirmed=all(dialect.accepted(route) for dialect, route in routes),
            problem=_uneven(carried) if len(all_of_it) > 1 else "",
        )

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic on every route; repeat without effect."""
        split = _split(strategy, traffic)
        # Also where the team has taken the stable out: were it to come back, so would its share.
        routes = await self._concerning(key, split, strategy.routed_by)
        # Its Service or provider may have been edited in mid-run: by the new mark, or on a kind
        # that is not asked for any more, nobody would find the old.
        kinds = strategy.routed_by
        if before := [
            (it, route)
            for it, route in routes
            if _is_renamed(route, key, split) or not _is_asked_for(it, kinds)
        ]:
            await self._leave(key, before)
            routes = await self._concerning(key, split, kinds)
        routes = [(it, route) for it, route in routes if not _is_another_s(route, key, split)]
        in_a_mesh = [route for it, route in routes if it.kind == VIRTUALSERVICES.kind]
        await treat_alike(self._cluster, key.namespace, split, in_a_mesh)
        failures = await self._bring_all(key, routes, lambda mark: mark.having(key.name, split))
        _raise_other(failures)
        if failures:
            said = (f"{_called(route)}: {error}" for route, error in failures)
            raise SplitRefused(f"cannot split {'; '.join(sorted(said))}")

    async def clean(self, key: Key) -> bool:
        """Take the target's canary out of every route, and tell whether it was in any.

        A backend that has the canary's name and is not in our mark is the team's own.
        """
        found = [
            (dialect, route)
            for dialect, route in await self._list(key.namespace, afresh=True)
            if key.name in _mark(route).splits
        ]
        await self._leave(key, found)
        return bool(found)

    async def _leave(self, key: Key, routes: Iterable[tuple[Dialect, Json]]) -> None:
        """Take a target's canary out of routes.

        Raises:
            ApiError: a route could not be written; all others were.

        """
        failures = await self._bring_all(key, routes, lambda mark: mark.leaving(key.name))
        for _, error in failures:
            raise error

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route as the strategy asks for it now, where the team has none."""
        own = strategy.own_route
        if own is None or await self._kinds.lacking((own.kind,), key.namespace):
            return  # `in_the_way` says so
        wanted = route_from_service(key, strategy, owner)
        # Of whatever kind they are: beside a route of the team's its own would get no request.
        leading = await self._leading(key, _split(strategy), (), strategy.service_port)
        if any(not _is_own(it, wanted, owner) and contends(it, wanted) for _, it in leading):
            return
        for one in (*beside_own(key, strategy, owner), wanted):
            found = await self._of_its_name(one)
            if found is None or _is_own(found, one, owner):
                await applied(self._cluster, _OWN[one["kind"]], one, found)

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        """Say why there can be no route as the strategy asks for it.

        The cluster lacks its kind, Headgate the right to it, a route of another kind than the
        Canary asks for leads there, so that the own one would get no request, or the own route's
        name is taken by one that was not made for this Canary.
        """
        own = strategy.own_route
        asked = (own.kind,) if own is not None else strategy.routed_by
        if asked and (lacking := await self._kinds.lacking(asked, key.namespace)):
            return (lacking,)
        if own is None:
            return ()
        owner = owner_reference(canary)
        wanted = route_from_service(key, strategy, owner)
        leading = await self._leading(key, _split(strategy), (), strategy.service_port)
        if strange := sorted(_called(it) for _, it in leading if contends(it, wanted)):
            said = (
                f"{', '.join(strange)} leads to Service {strategy.service_name}, and the Canary "
                f"asks for {' or '.join(strategy.routed_by)} by its provider; take spec.provider "
                "out, or let the route lead elsewhere"
            )
            return (said,)
        found = await self._of_its_name(wanted)
        if found is not None and not _is_own(found, wanted, owner):
            said = (
                f"{_another_s(found, wanted, owner)}, and it does not lead to Service "
                f"{strategy.service_name}; rename or delete it, or let it lead there"
            )
            return (said,)
        beside = beside_own(key, strategy, owner)
        there = [(one, await self._of_its_name(one)) for one in beside]
        return tuple(
            f"{_another_s(found, one, owner)}; delete it, or take trafficPolicy out of the Canary"
            for one, found in there
            if found is not None and not _is_own(found, one, owner)
        )

    async def _of_its_name(self, wanted: Json) -> Json | None:
        """Return what is stored in the place of an object that is to be made."""
        _, namespace, name = _place(wanted)
        return await stored(self._cluster, _OWN[wanted["kind"]], namespace, name)

    async def _leading(
        self, key: Key, split: TargetSplit, kinds: tuple[str, ...], port: int | None = None
    ) -> list[tuple[Dialect, Json]]:
        """Return all routes that have traffic for a split, the team's or by our mark.

        With a `port`, one for other ports of the Service has none of those requests.
        """
        return [
            (dialect, route)
            for dialect, route in await self._concerning(key, split, kinds)
            if other_ports(route, split.stable, port) == ()
            if dialect.leads_to(route, split.stable) or dialect.leads_to(route, split.canary)
        ]

    async def _concerning(
        self, key: Key, split: TargetSplit, kinds: tuple[str, ...]
    ) -> list[tuple[Dialect, Json]]:
        """Return all routes that lead to the stable Service, or are marked with the split.

        One that leads to the canary alone, without our mark, is the team's own way to look at it.
        One of a kind that the Canary does not ask for counts by its mark alone.
        """
        return [
            (dialect, route)
            for dialect, route in await self._list(key.namespace)
            if key.name in _mark(route).splits
            or (_is_asked_for(dialect, kinds) and dialect.leads_to(route, split.stable))
        ]

    async def _list(self, namespace: str, *, afresh: bool = False) -> list[tuple[Dialect, Json]]:
        found: list[tuple[Dialect, Json]] = []
        for dialect in self._dialects:
            routes = await self._kinds.routes(dialect.kind, namespace, afresh=afresh)
            found += ((dialect, route) for route in routes)
        return found

    async def _bring_all(
        self, key: Key, routes: Iterable[tuple[Dialect, Json]], change: Change
    ) -> list[tuple[Json, Failure]]:
        """Bring every route to the changed mark; return those on which that failed, with why."""
        failures: list[tuple[Json, Failure]] = []

        async def bring(dialect: Dialect, route: Json) -> None:
            try:
                await self._bring(key, dialect, route, change)
            except (Gone, NotFound):
                return  # with the route its split is gone
            except (ApiError, Overtaken) as failure:
                failures.append((route, failure))

        async with asyncio.TaskGroup() as group:
            for dialect, route in routes:
                group.create_task(bring(dialect, route))
        return failures

    async def _bring(self, key: Key, dialect: Dialect, route: Json, change: Change) -> None:
        """Write the mark, then what the webhook did not make of it.

        Until the weights are written, what is kept of the team's text stays what belongs to the old
        ones: after a death in between, the next look reads the same.
        """

        def mark(current: Json) -> Json | None:
            text = _wanted(key, dialect, current, change).dump()
            done = text == text_of(current) and _missing(dialect, current) is None
            return None if done else _note(text)

        def weights(current: Json) -> Json | None:
            missing = _missing(dialect, current)
            return None if missing is None else _rest_of(missing, current)

        resource = RESOURCES[dialect.kind]
        await self._bring_companions(dialect, route, _wanted(key, dialect, route, change))
        now = await patched(self._cluster, resource, route, mark)
        await patched(self._cluster, resource, now, weights)

    async def _bring_companions(self, dialect: Dialect, route: Json, wanted: Mark) -> None:
        """Make what the splits need beside the route; take away what only those before needed."""
        needed = {_place(it): it for it in dialect.companions(route, wanted)}
        for place, companion in needed.items():
            await applied(self._cluster, *await self._beside(place, companion))
        for place in map(_place, dialect.companions(route, _mark(route))):
            if place not in needed:
                resource, _, found = await self._beside(place, {})
                if found is not None:
                    await deleted(self._cluster, resource, found)

    async def _beside(
        self, place: tuple[str, str, str], wanted: Json
    ) -> tuple[Resource, Json, Json | None]:
        kind, namespace, name = place
        resource = RESOURCES[kind]
        return resource, wanted, await stored(self._cluster, resource, namespace, name)


def _note(text: str) -> Json:
    return {"metadata": {"annotations": {SPLIT: text or None}}}


def _rest_of(missing: Written, route: Json) -> Json:
    """Return the patch for what a route lacks: its mark, and the fields of its spec that differ."""
    patch = _note(missing.mark.dump())
    before = route["spec"]
    changed = {field: it for field, it in missing.spec.items() if it != before.get(field)}
    return {**patch, "spec": changed} if changed else patch


def _missing(dialect: Dialect, route: Json) -> Written | None:
    """Return what a route has to be for its mark, None where it is that already."""
    written = dialect.with_traffic(route, _mark(route))
    is_there = written.spec == route["spec"] and written.mark.dump() == text_of(route)
    return None if is_there else written


def _wanted(key: Key, dialect: Dialect, route: Json, change: Change) -> Mark:
    """Return the mark of a route as a target changes it; what leaves it always may.

    Raises:
        Invalid: it would be one that is not read again, or that the route cannot carry; what it
            cannot carry already is no other target's fault.

    """
    standing = _mark(route)
    wanted = change(standing)
    if len(wanted.staying) < len(wanted.splits):
        return wanted
    if why := wanted.too_much or dialect.with_traffic(route, wanted).mark.too_much:
        raise Invalid(0, "MarkTooLarge", why)
    if refused := dialect.refused(route, wanted):
        before = dialect.refused(route, standing)
        said = [it for name, it in refused.items() if name == key.name or name not in before]
        if said:
            raise Invalid(0, "TrafficNotSaid", "; ".join(said))
    return wanted


def _carried(dialect: Dialect, route: Json, key: Key, split: TargetSplit) -> frozenset[Traffic]:
    """Return what the canary gets by a route; without a mark nothing there is ours."""
    found = dialect.carried(route, split)
    ours = text_of(route) and not _is_another_s(route, key, split)
    return found if ours or not found else frozenset({NOTHING})


def _is_another_s(route: Json, key: Key, split: TargetSplit) -> bool:
    """Tell whether a canary's Service is in a route by another target's mark alone."""
    splits = _mark(route).splits
    others = {one.canary for target, one in splits.items() if target != key.name}
    return key.name not in splits and split.canary in others


def _is_asked_for(dialect: Dialect, kinds: tuple[str, ...]) -> bool:
    """Tell whether a Canary asks for a kind of route; where it names none, for any."""
    return not kinds or dialect.kind in kinds


def _is_renamed(route: Json, key: Key, split: TargetSplit) -> bool:
    """Tell whether a target is split on a route by a canary's Service of another name."""
    before = _mark(route).splits.get(key.name)
    return before is not None and before.canary != split.canary


def _uneven(carried: dict[str, frozenset[Traffic]]) -> str:
    said = (
        f"{' and '.join(map(str, sorted(found, key=by_size)))} on {name}"
        for name, found in sorted(carried.items())
        if found
    )
    return f"the canary's share is not the same on all routes: {', '.join(said)}"


def _raise_other(failures: Iterable[tuple[Json, Failure]]) -> None:
    """Raise what is no refusal: it may be over at the next try."""
    for _, error in failures:
        if not isinstance(error, Invalid | Forbidden):
            raise error


def _split(strategy: Strategy, traffic: Traffic = NOTHING) -> TargetSplit:
    stable = strategy.service_name
    return TargetSplit(stable=stable, canary=canary_name(stable), traffic=traffic)


def _mark(route: Json) -> Mark:
    """Return a route's mark; one that cannot be read is none, and is written over."""
    return mark_of(route) or NO_MARK


def _place(obj: Json) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return obj["kind"], metadata["namespace"], metadata["name"]


def _name(route: Json) -> str:
    return str(route["metadata"]["name"])


def _called(route: Json) -> str:
    """Return what messages call a route: of each kind there may be one of its name."""
    return f"{route['kind']} {_name(route)}"


def _another_s(found: Json, wanted: Json, owner: Json) -> str:
    """Say that the place of an object that is to be made is taken, and by whose."""
    named = f"{wanted['kind']} {_name(wanted)}"
    return f"{named} exists and is not the one of Canary {owner['name']} ({whose_it_is(found)})"


def _is_own(route: Json, wanted: Json, owner: Json) -> bool:
    """Tell whether a route is the one that was made from the Canary, perhaps an older one.

    One of a Canary of that name that has gone is taken over, before the cluster deletes it.
    """
    canary = {"kind": owner["kind"], "metadata": {"name": owner["name"], "uid": owner["uid"]}}
    is_made = owned_by(route, canary) is not Ownership.STRANGERS
    same = route.get("kind", wanted["kind"]) == wanted["kind"] and _name(route) == _name(wanted)
    return same and is_made
