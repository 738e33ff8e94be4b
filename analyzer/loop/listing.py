"""Reads lists of any length, and keeps of each object what is wanted of it alone."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Final, TypeVar

from analyzer.ports import Cluster
from canary.model.values import Json
from runtime.errors import Expired
from runtime.resources import Resource
from runtime.writes import stored

T = TypeVar("T")

Place = tuple[str, str, str]
"""Namespace, name and uid of an object."""
_TIMES: Final = 3
"""How often a list is begun that takes longer than the API server keeps its state."""


async def gathered(
    cluster: Cluster,
    resource: Resource,
    take: Callable[[Json], T | None],
    *,
    namespace: str | None = None,
    label_selector: str = "",
) -> list[T]:
    """Return what is taken of all objects that match; a page of them is in memory at a time.

    Args:
        cluster: the API server.
        resource: their kind.
        take: returns what is wanted of an object, None for nothing. One that is too large to be
            read has metadata alone.
        namespace: None for all namespaces.
        label_selector: as `kubectl -l`.

    Raises:
        ApiError: they cannot be listed.

    """
    for left in reversed(range(_TIMES)):
        found: list[T] = []
        pages = cluster.pages(resource, namespace, label_selector=label_selector)
        try:
            async with aclosing(pages):
                async for page in pages:
                    taken = (take(obj) for obj in page.items)
                    found += (one for one in taken if one is not None)
                    del page, taken  # or it would be there beside the next one
        except Expired:
            if not left:
                raise
        else:
            return found
    raise AssertionError("the last attempt returns or raises")


def place_of(obj: Json) -> Place:
    """Return where an object is, and which of that name it is."""
    metadata = obj["metadata"]
    return metadata["namespace"], metadata["name"], metadata.get("uid", "")


async def still_there(cluster: Cluster, resource: Resource, place: Place) -> Json | None:
    """Return the very object that was found, as it is stored now; None where it has gone."""
    found = await stored(cluster, resource, place[0], place[1])
    return found if found is not None and place_of(found) == place else None
