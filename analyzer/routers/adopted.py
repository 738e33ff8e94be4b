"""Splits traffic on the team's own routes, and on those made from a Canary, whatever their kind.

What a split looks like is the kind's dialect. Here routes are listed, marked, and written again
where somebody else was faster. The analyzer writes the mark; the route webhook turns it into
weights, so that the fields the team applied stay the team's. Where the webhook did not (it is down,
not called, or another version), the weights are written here, together with the mark.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from analyzer.ports import Cluster, SplitRefused
from analyzer.routers.carrying import Carrying
from analyzer.routers.kinds import BESIDE, RESOURCES, Kinds
from analyzer.routers.lags import Lags
from analyzer.routers.let_in import LetIn, Places, nowhere
from analyzer.routers.made import another_s, is_own, place_of
from analyzer.routers.policies import treat_alike
from analyzer.routers.refusals import Refusals
from analyzer.routers.standing import (
    Change,
    called,
    carried_by,
    declined_on,
    is_another_s,
    is_marked,
    is_of,
    is_renamed,
    leading,
    leads,
    mark_wanted,
    missing,
    name_on,
    note_of,
    rest_of,
    split_on,
    standing,
    uneven,
    unheard,
)
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic, by_size
from canary.model.values import Json, Key
from canary.model.world import Split
from canary.objects.desired import canary_name, owner_reference
from canary.routes.declined import asked
from canary.routes.dialect import Dialect
from canary.routes.from_service import beside_own, route_from_service
from canary.routes.known import DIALECTS
from canary.routes.mark import Mark, TargetSplit, text_of
from canary.routes.parents import contends
from runtime.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from runtime.heard import Readable
from runtime.resources import VIRTUALSERVICES, Resource
from runtime.writes import Gone, Overtaken, applied, deleted, patched, stored

Failure = ApiError | Overtaken
Found = tuple[Dialect, Json]
"""A route, with the kind that it is of."""
_WRITTEN: Final = (Conflict, Overtaken)
"""What somebody else's writes lead to."""
log = structlog.get_logger("analyzer")
_OWN: Final = {**RESOURCES, **BESIDE}


def nobody(route: Json) -> None:
    """Tell nobody of a route that was written."""
    del route


class AdoptedRoutes:
    """Reads and writes the splits of all routes. See `analyzer.ports.Router`.

    Args:
        cluster: the API server.
        dialects: the kinds of routes that are looked at.
        marked: tells which routes carry a target's split, as far as it is heard of.
        reads: what is read where it need not be what is stored this very moment.
        wrote: is told of each version of a route that was written here, once it is all right.
        clock: a monotonic one, in seconds.

    """

    def __init__(
        self,
        cluster: Cluster,
        dialects: Iterable[Dialect] = DIALECTS,
        marked: Places = nowhere,
        reads: Readable | None = None,
        clock: Callable[[], float] = time.monotonic,
        wrote: Callable[[Json], None] = nobody,
    ) -> None:
        self._cluster, self._wrote = cluster, wrote
        self._dialects = tuple(dialects)
        self._kinds = Kinds(cluster, reads=reads)
        self._let_in = LetIn(cluster, self._kinds, marked)
        self._refusals, self._lags, self._carrying = Refusals(clock), Lags(clock), Carrying(clock)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the split as it stands on every route that has traffic for the stable Service.

        Where one of its own namespace has any, no other namespace's keeps a run from its next step.
        """
        split = _split(strategy)
        routes = await self._concerning(key, split, strategy.routed_by)
        return self._seen(key, split, routes, strategy.service_port)

    def _seen(self, key: Key, split: TargetSplit, known: list[Found], port: int | None) -> Split:
        """Return the split as it stands on these routes, and remember since when it does."""
        routes = leading(key, split, known, port)
        counted = [
            (dialect, it, found)
            for dialect, it in routes
            if (found := carried_by(dialect, it, key, split)) and not self._let_in.is_aside(key, it)
        ]
        deciding = [one for one in counted if is_of(one[1], key)] or counted
        shares = frozenset[Traffic]().union(*(found for _, _, found in deciding))
        all_of_it = shares.union(*(found for _, _, found in counted))
        even = len(shares) <= 1
        problem = "" if even else uneven({called(it, key): found for _, it, found in counted})
        return Split(
            traffic=max(all_of_it, key=by_size, default=NOTHING),
            routes=len(counted),
            even=even and not self._refusals.are_new(key, routes),
            confirmed=all(dialect.accepted(route) for dialect, route in routes),
            problem=problem,
            declined=self._refusals.said(key, routes),
            lag=self._lags.said(key, routes),
            unheard="; ".join(filter(None, (unheard(it, route, key) for it, route in routes))),
            carried_for=self._carrying.lasted(key, deciding),
        )

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic on every route; repeat without effect."""
        split = _split(strategy, traffic)
        # Also where the team has taken the stable out: were it to come back, so would its share.
        routes = await self._concerning(key, split, strategy.routed_by)
        # Its Service or provider may have been edited in mid-run: by the new mark, or on a kind
        # that is not asked for any more, nobody would find the old.
        kinds = strategy.routed_by
        before = [
            (it, route)
            for it, route in routes
            if is_renamed(route, key, split) or not _is_asked_for(it, kinds)
        ]
        if before := [*before, *await self._lost(key, routes)]:
            await self._leave(key, before)
            routes = await self._concerning(key, split, kinds)
        routes = [(it, route) for it, route in routes if not is_another_s(route, key, split)]
        in_a_mesh = [route for it, route in routes if it.kind == VIRTUALSERVICES.kind]
        await treat_alike(self._cluster, key.namespace, split, in_a_mesh)

        def having(dialect: Dialect, route: Json, mark: Mark) -> Mark:
            name, mine = name_on(route, key), split_on(route, key, split)
            lasting = self._refusals.has_lasted(key, dialect, route)
            return asked(dialect, route, mark, name, mine, lasting=lasting)

        written, failures = await self._bring_all(key, routes, having, traffic)
        # No look will come for what the watch tells of these (`wrote`).
        self._seen(key, split, written, strategy.service_port)
        for route, error in failures:
            # Whoever writes a route of another namespace again and again keeps no run waiting.
            if not is_of(route, key) and (_is_refused(error) or isinstance(error, _WRITTEN)):
                self._let_in.set_aside(key, route)
            elif not _is_refused(error):
                raise error
        if failures:
            said = (f"{called(route, key)}: {error}" for route, error in failures)
            raise SplitRefused(f"cannot split {'; '.join(sorted(said))}")

    async def clean(self, key: Key) -> bool:
        """Take the target's canary out of every route, and tell whether it was in any.

        A backend that has the canary's name and is not in our mark is the team's own.
        """
        there = await self._list(key, afresh=True)
        found = [(it, route) for it, route in there if is_marked(route, key)]
        found += await self._lost(key, there)
        await self._leave(key, found)
        return bool(found)

    async def _lost(self, key: Key, known: Iterable[Found]) -> list[Found]:
        """Return routes of other namespaces that are marked and are not to be split any more."""
        found = await self._let_in.lost(key, [route for _, route in known])
        return [(it, route) for it, route in self._spoken(found) if is_marked(route, key)]

    async def _leave(self, key: Key, routes: Iterable[Found]) -> None:
        """Take a target's canary out of routes.

        Raises:
            ApiError: a route could not be written; all others were. One of another namespace that
                refuses to be written keeps no run from its end.

        """

        def leaving(_: Dialect, route: Json, mark: Mark) -> Mark:
            return mark.leaving(name_on(route, key))

        _, failures = await self._bring_all(key, routes, leaving)
        for route, error in failures:
            if is_of(route, key) or not _is_refused(error):
                raise error
            said = called(route, key)
            log.warning("a split stays on a route of another namespace", route=said, why=str(error))

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route as the strategy asks for it now, where the team has none."""
        own = strategy.own_route
        if own is None or await self._kinds.lacking((own.kind,), key.namespace):
            return  # `in_the_way` says so
        wanted = route_from_service(key, strategy, owner)
        # Of whatever kind they are: beside a route of the team's its own would get no request.
        routed = await self._routed(key, strategy)
        if any(not is_own(it, wanted, owner) and contends(it, wanted) for _, it in routed):
            return
        for one in (*beside_own(key, strategy, owner), wanted):
            found = await self._of_its_name(one)
            if found is None or is_own(found, one, owner):
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
        routed = await self._routed(key, strategy)
        if strange := sorted(called(it, key) for _, it in routed if contends(it, wanted)):
            said = (
                f"{', '.join(strange)} leads to Service {strategy.service_name}, and the Canary "
                f"asks for {' or '.join(strategy.routed_by)} by its provider; take spec.provider "
                "out, or let the route lead elsewhere"
            )
            return (said,)
        found = await self._of_its_name(wanted)
        if found is not None and not is_own(found, wanted, owner):
            said = (
                f"{another_s(found, wanted, owner)}, and it does not lead to Service "
                f"{strategy.service_name}; rename or delete it, or let it lead there"
            )
            return (said,)
        beside = beside_own(key, strategy, owner)
        there = [(one, await self._of_its_name(one)) for one in beside]
        return tuple(
            f"{another_s(found, one, owner)}; delete it, or take trafficPolicy out of the Canary"
            for one, found in there
            if found is not None and not is_own(found, one, owner)
        )

    async def _of_its_name(self, wanted: Json) -> Json | None:
        """Return what is stored in the place of an object that is to be made."""
        _, namespace, name = place_of(wanted)
        return await stored(self._cluster, _OWN[wanted["kind"]], namespace, name)

    async def _routed(self, key: Key, strategy: Strategy) -> list[Found]:
        """Return all routes that have traffic for a target, of whatever kind."""
        split = _split(strategy)
        return leading(key, split, await self._concerning(key, split, ()), strategy.service_port)

    async def _concerning(
        self, key: Key, split: TargetSplit, kinds: tuple[str, ...]
    ) -> list[Found]:
        """Return all routes that lead to the stable Service, or are marked with the split.

        One that leads to the canary alone, without our mark, is the team's own way to look at it.
        One of a kind that the Canary does not ask for counts by its mark alone.
        """
        return [
            (dialect, route)
            for dialect, route in await self._list(key, split.stable)
            if is_marked(route, key)
            or (_is_asked_for(dialect, kinds) and leads(dialect, route, key, split.stable))
        ]

    async def _list(self, key: Key, service: str = "", *, afresh: bool = False) -> list[Found]:
        """Return the routes of the target's namespace, and of those that may lead there.

        With a Service, none that neither leads there nor has the target in its mark need be there.
        """
        found, named = list[Json](), (key.name, service) if service else ()
        for dialect in self._dialects:
            found += await self._kinds.routes(
                dialect.kind, key.namespace, afresh=afresh, naming=named
            )
        return self._spoken([*found, *await self._let_in.routes(key, service)])

    def _spoken(self, routes: Iterable[Json]) -> list[Found]:
        """Return routes with their dialects."""
        of_kind = {it.kind: it for it in self._dialects}
        return [(of_kind[it["kind"]], it) for it in routes if it["kind"] in of_kind]

    async def _bring_all(
        self,
        key: Key,
        routes: Iterable[Found],
        change: Change,
        traffic: Traffic = NOTHING,
    ) -> tuple[list[Found], list[tuple[Json, Failure]]]:
        """Bring every route to the changed mark.

        Returns:
            The routes as they are stored then, and those on which it failed, with why: also where
            a gateway keeps the traffic that is asked for from one.

        """
        failures: list[tuple[Json, Failure]] = []
        done: list[Found] = []

        async def bring(dialect: Dialect, route: Json) -> None:
            try:
                now = {"kind": dialect.kind, **await self._bring(key, dialect, route, change)}
                done.append((dialect, now))
                if why := declined_on(now, key, traffic):
                    failures.append((route, Invalid(0, "NotTaken", why)))
            except (Gone, NotFound):
                return  # with the route its split is gone
            except (ApiError, Overtaken) as failure:
                failures.append((route, failure))

        async with asyncio.TaskGroup() as group:
            for dialect, route in routes:
                group.create_task(bring(dialect, route))
        return done, failures

    async def _bring(self, key: Key, dialect: Dialect, route: Json, change: Change) -> Json:
        """Write the mark, then what the webhook did not make of it; return what is stored then.

        Until the weights are written, what is kept of the team's text stays what belongs to the old
        ones: after a death in between, the next look reads the same.
        """
        first = mark_wanted(key, dialect, route, change)

        def mark(current: Json) -> Json | None:
            wanted = first if current is route else mark_wanted(key, dialect, current, change)
            text = wanted.dump()
            done = text == text_of(current) and missing(dialect, current) is None
            return None if done else note_of(text)

        def weights(current: Json) -> Json | None:
            lacks = missing(dialect, current)
            return None if lacks is None else rest_of(lacks, current)

        resource = RESOURCES[dialect.kind]
        await self._bring_companions(dialect, route, first)
        marked = await patched(self._cluster, resource, route, mark)
        now = await patched(self._cluster, resource, marked, weights)
        if now is marked or missing(dialect, now) is None:
            for before, written in ((route, marked), (marked, now)):
                if written is not before:
                    self._wrote({"kind": dialect.kind, **written})
        return now

    async def _bring_companions(self, dialect: Dialect, route: Json, mark: Mark) -> None:
        """Make what the splits need beside the route; take away what only those before needed."""
        needed = {place_of(it): it for it in dialect.companions(route, mark)}
        for place, companion in needed.items():
            await applied(self._cluster, *await self._beside(place, companion))
        for place in map(place_of, dialect.companions(route, standing(route))):
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


def _is_asked_for(dialect: Dialect, kinds: tuple[str, ...]) -> bool:
    """Tell whether a Canary asks for a kind of route; where it names none, for any."""
    return not kinds or dialect.kind in kinds


def _is_refused(error: Failure) -> bool:
    """Tell a refusal from what may be over at the next try."""
    return isinstance(error, Invalid | Forbidden)


def _split(strategy: Strategy, traffic: Traffic = NOTHING) -> TargetSplit:
    stable = strategy.service_name
    return TargetSplit(stable=stable, canary=canary_name(stable), traffic=traffic)
