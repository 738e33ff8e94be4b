"""Whom a Service sends requests to, as its EndpointSlices say."""

from collections.abc import Collection, Iterable, Iterator

from canary.model.values import Json


def unserved(service: str, slices: Iterable[Json]) -> str:
    """Return why a Service can take no traffic, in words; "" where it can.

    Args:
        service: its name.
        slices: its EndpointSlices.

    """
    return "" if any(_ready(slices)) else f"its Service {service} has no ready endpoint"


def outdated(service: str, slices: Iterable[Json], pods: Collection[str]) -> str:
    """Return which pod a Service sends requests to that is gone or about to go, in words.

    Slices are written by a controller of the cluster, which is behind where it has lost its
    watches: for 54 s in a cluster whose API server had been away for 20 s. Nobody answers there,
    or a version before.

    Args:
        service: its name.
        slices: its EndpointSlices.
        pods: names of the pods that may answer.

    Returns:
        What is so, "" where nothing is. Of an address without a pod nobody knows.

    """
    named = (one.get("targetRef") or {} for one in _ready(slices))
    names = (str(one.get("name", "")) for one in named if one.get("kind") == "Pod")
    gone = next((name for name in names if name not in pods), "")
    return gone and f"its Service {service} still sends requests to pod {gone}, which is gone"


def _ready(slices: Iterable[Json]) -> Iterator[Json]:
    """Yield the endpoints that take traffic; where nobody has said, one does (API reference)."""
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield endpoint
