"""What each route leads to, and which routes lead there."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Route = tuple[str, str, str]
"""Kind, namespace and name of a route."""
_T = TypeVar("_T", bound=Hashable)


class BothWays(Generic[_T]):
    """Routes with what they lead to, found from either side."""

    def __init__(self) -> None:
        self._ends: dict[Route, frozenset[_T]] = {}
        self._routes: dict[_T, set[Route]] = {}

    def __contains__(self, end: object) -> bool:
        """Tell whether any route leads there."""
        return end in self._routes

    def ends(self) -> tuple[_T, ...]:
        """Return all that routes lead to, each once."""
        return tuple(self._routes)

    def routes(self, end: _T) -> frozenset[Route]:
        """Return the routes that lead there."""
        return frozenset(self._routes.get(end, ()))

    def put(self, route: Route, ends: frozenset[_T]) -> None:
        """Take in what a route leads to that is not here."""
        if not ends:
            return
        self._ends[route] = ends
        for one in ends:
            self._routes.setdefault(one, set()).add(route)

    def drop(self, route: Route) -> frozenset[_T]:
        """Forget a route, and return what it has led to."""
        before = self._ends.pop(route, frozenset[_T]())
        for one in before:
            self._routes[one].remove(route)
            if not self._routes[one]:
                del self._routes[one]
        return before
