"""The kinds of routes that are known: each is one file beside this one, and an entry here."""

from typing import Final

from canary.model.values import Json
from canary.routes.contour import HttpProxies
from canary.routes.dialect import Dialect
from canary.routes.gateway_api import HttpRoutes
from canary.routes.grpc import GrpcRoutes
from canary.routes.istio import VirtualServices
from canary.routes.traefik import IngressRoutes, TraefikServices

DIALECTS: Final[tuple[Dialect, ...]] = (
    HttpRoutes(),
    GrpcRoutes(),
    HttpProxies(),
    VirtualServices(),
    IngressRoutes(),
    TraefikServices(),
)


def dialect_of(route: Json) -> Dialect | None:
    """Return the dialect of a route's kind, None for a kind that is not known."""
    found = (dialect for dialect in DIALECTS if dialect.kind == route.get("kind"))
    return next(found, None)
