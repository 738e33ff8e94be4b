"""From Flagger's `Canary.spec.service` to a TraefikService of our own, as Flagger makes it.

It has no host: an IngressRoute of the team's leads to it by its name, which is the Service's.
"""

from typing import Final

from canary.model.strategy import BalancedRoute
from canary.model.values import Json

_UNSAID: Final = (
    "match",
    "timeout",
    "backendTimeout",
    "headers",
    "rewrite",
)


def balanced_from(route: BalancedRoute, metadata: Json, backend: Json) -> Json:
    """Return the TraefikService without any split.

    Args:
        route: what it is made of.
        metadata: its own.
        backend: name and port of the stable's Service.

    """
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": route.kind,
        "metadata": metadata,
        "spec": {"weighted": {"services": [{"kind": "Service", **backend}]}},
    }


def balanced_unsaid(service: Json) -> tuple[str, ...]:
    """Say what of a Canary's service a TraefikService cannot say.

    Args:
        service: `spec.service` of a Canary.

    """
    return tuple(
        f"service.{field}: a TraefikService cannot say it; remove it, and say it in the "
        "IngressRoute that leads there"
        for field in _UNSAID
        if service.get(field)
    )
