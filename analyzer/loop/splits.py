"""Which targets the routes split: learned from their marks, which anybody may have written."""

from collections import Counter
from collections.abc import Iterable

from analyzer.loop.both_ways import BothWays, Route
from canary.model.values import Key


class Splits:
    """The targets of each route's splits, and the routes of each target.

    What a route had before is remembered here: the store of its informer may have kept less of it.
    A namespace that has more splits than are known by their targets may have one of any target.

    Args:
        most: splits of one namespace that are known by their targets.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._splits = BothWays[Key]()
        self._known: Counter[str] = Counter()
        self._unknown: dict[str, set[Route]] = {}

    def __contains__(self, key: Key) -> bool:
        """Tell whether a route carries a split of a target, or may do so."""
        return key in self._splits or key.namespace in self._unknown

    def routes(self, key: Key) -> frozenset[Route]:
        """Return the routes that carry a split of a target, as far as they are known."""
        return self._splits.routes(key)

    def is_unknown(self, namespace: str) -> bool:
        """Tell whether a route of a namespace may carry a split of any target of it."""
        return namespace in self._unknown

    def targets(self) -> tuple[Key, ...]:
        """Return the targets of all splits that are known, whether they are there or not."""
        return self._splits.ends()

    def learn(self, route: Route, targets: Iterable[Key]) -> frozenset[Key]:
        """Take in what a route splits now, and return what it did before.

        Args:
            route: which.
            targets: of whatever namespace; none for a route that has gone.

        """
        namespace, after = route[1], frozenset(targets)
        before = self._forget(route)
        if self._known[namespace] + len(after) > self._most:
            self._unknown.setdefault(namespace, set()).add(route)
        else:
            self._splits.put(route, after)
            self._known[namespace] += len(after)
        if not self._known[namespace]:
            del self._known[namespace]
        return before

    def _forget(self, route: Route) -> frozenset[Key]:
        namespace, before = route[1], self._splits.drop(route)
        self._known[namespace] -= len(before)
        if (unknown := self._unknown.get(namespace)) is not None:
            unknown.discard(route)
            if not unknown:
                del self._unknown[namespace]
        return before
