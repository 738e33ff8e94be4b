"""What watches tell of this process' own writes: nobody has to look at it once more.

A look reads the whole world of a target, and each step of its run writes a route. Where what is
stored after that write is what was wanted, the watch that tells of it tells nothing new. What
anybody else makes of the route has another version.
"""

from collections import OrderedDict
from typing import Final

from analyzer.loop.both_ways import Route
from canary.model.values import Json

MOST: Final = 4096
"""Versions that are known: of each step two at most, for as long as a watch may be late."""


class Echoes:
    """Versions of routes that this process has written, and has found to be as it wanted them.

    Args:
        most: how many are known, those of last.

    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._written: OrderedDict[tuple[Route, str], None] = OrderedDict()

    def note(self, route: Json) -> None:
        """Take in a version that was written, with its kind."""
        if (version := _version(route)) is None:
            return
        self._written[version] = None
        self._written.move_to_end(version)
        if len(self._written) > self._most:
            self._written.popitem(last=False)

    def is_one(self, route: Json) -> bool:
        """Tell whether a version of a route is one of them."""
        return _version(route) in self._written


def _version(route: Json) -> tuple[Route, str] | None:
    metadata = route["metadata"]
    version = metadata.get("resourceVersion")
    if not isinstance(version, str) or not version:
        return None
    return (str(route.get("kind")), metadata.get("namespace", ""), metadata["name"]), version
