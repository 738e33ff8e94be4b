"""Routes that lead to Services of other namespaces, as the watches of all routes tell of them.

Each release says which of them lead to its Service and are not split. To list the routes of all
namespaces for that takes as long as there are routes, for each of the releases that begin at once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from analyzer.loop.both_ways import BothWays, Route
from runtime.informer import Informer
from runtime.resources import Resource

Service = tuple[str, str]
"""Namespace and name."""
MOST: Final = 16_384
"""References that are known: some 5 MB of them."""


class Abroad:
    """Which routes of other namespaces lead to a Service.

    Anybody may write routes. What is known of them is bounded, and of a kind that has more nothing
    is told, so that whoever asks reads its routes.

    Args:
        informers: follow the kinds of routes.
        most: references that are known.

    """

    def __init__(self, informers: Iterable[Informer], most: int = MOST) -> None:
        self._informers: Mapping[Resource, Informer] = {it.resource: it for it in informers}
        self._most = most
        self._known = 0
        self._leads = BothWays[Service]()
        self._unknown: dict[str, set[Route]] = {}

    def leading(
        self, resource: Resource, namespace: str, service: str
    ) -> tuple[tuple[str, str], ...] | None:
        """Return namespace and name of each route of a kind that leads to a Service from elsewhere.

        None where it has to be read. There is none of a kind that the cluster does not have, and
        none to be told of one that nobody has granted.

        Args:
            resource: the kind.
            namespace: the Service's.
            service: its name.

        """
        informer = self._informers.get(resource)
        if informer is None:
            return None
        if informer.is_absent:
            return ()
        if not informer.is_current or self._unknown.get(resource.kind):
            return None
        found = self._leads.routes((namespace, service))
        return tuple(sorted((where, name) for kind, where, name in found if kind == resource.kind))

    def learn(self, route: Route, services: Iterable[Service] | None) -> None:
        """Take in where a route leads now.

        Args:
            route: which.
            services: those of other namespaces; none for a route that has gone, None for more than
                can be told.

        """
        self._forget(route)
        after = None if services is None else frozenset((one[0], one[1]) for one in services)
        if after is None or self._known + len(after) > self._most:
            self._unknown.setdefault(route[0], set()).add(route)
        else:
            self._leads.put(route, after)
            self._known += len(after)

    def _forget(self, route: Route) -> None:
        self._unknown.get(route[0], set()).discard(route)
        self._known -= len(self._leads.drop(route))
