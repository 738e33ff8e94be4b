"""Which namespaces may lead to a Service of another one: by ReferenceGrants of its own."""

from collections.abc import Iterable
from typing import Final

from canary.model.values import Json

MOST_LET_IN: Final = 16
"""Other namespaces whose routes of a kind are split for one target: each is a list a look."""
_GATEWAY_API: Final = "gateway.networking.k8s.io"
_SERVICE: Final = "Service"


def granted(grants: Iterable[Json], kind: str, services: Iterable[str]) -> frozenset[str]:
    """Return the namespaces whose routes of a kind may lead to all of these Services.

    Args:
        grants: the ReferenceGrants of the Services' namespace.
        kind: of the routes.
        services: names, the canary's among them: a route that may lead to the stable alone would
            lead a share of the requests nowhere. None for whoever may lead anywhere.

    """
    found = list(grants)
    names = list(services)
    every = frozenset(space for grant in found for space in _spaces(grant, kind))
    allowed = [
        frozenset(space for grant in found if _lets(grant, name) for space in _spaces(grant, kind))
        for name in names
    ]
    return every.intersection(*allowed)


def let_in(
    grants: Iterable[Json], kind: str, services: Iterable[str], labelled: Iterable[str]
) -> list[str]:
    """Return the namespaces whose routes of a kind are split.

    Args:
        grants: the ReferenceGrants of the Services' namespace.
        kind: of the routes.
        services: names of the stable's Service and the canary's.
        labelled: the namespaces that carry the label, of which the webhook hears.

    """
    return sorted(granted(grants, kind, services) & frozenset(labelled))[:MOST_LET_IN]


def _lets(grant: Json, service: str) -> bool:
    return any(
        (to.get("group") or "") == ""
        and to.get("kind") == _SERVICE
        and (to.get("name") or service) == service
        for to in (grant.get("spec") or {}).get("to") or ()
    )


def _spaces(grant: Json, kind: str) -> Iterable[str]:
    for one in (grant.get("spec") or {}).get("from") or ():
        if one.get("group") == _GATEWAY_API and one.get("kind") == kind and one.get("namespace"):
            yield str(one["namespace"])
