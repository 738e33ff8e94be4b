"""Conditions by which gateways tell what becomes of a route."""

from canary.model.values import Json
from canary.routes.http_parts import digest

_DIGITS = 8


def is_of_now(condition: Json, route: Json) -> bool:
    """Tell whether a condition is about a route as it is stored, and not about one before.

    Args:
        condition: one that says which generation it is about, if its writer says that.
        route: as it is stored.

    """
    generation = route["metadata"].get("generation", 0)
    return bool(condition.get("observedGeneration", 0) >= generation)


def seen_before(condition: Json, route: Json) -> int:
    """Return the generation that a condition is about where it is an older one than is stored.

    Args:
        condition: see `is_of_now`; of one that names no generation nothing is known.
        route: as it is stored.

    Returns:
        The generation, 0 where there is none.

    """
    seen = condition.get("observedGeneration", 0)
    return 0 if is_of_now(condition, route) else int(seen)


def late(route: Json, seen: int) -> str:
    """Say that somebody has seen an older generation of a route, and not the stored one."""
    return f"has seen its generation {seen} of {route['metadata'].get('generation', 0)}"


def why_of(condition: Json) -> str:
    """Return the reason and the message of a condition, as far as it has them."""
    return ": ".join(str(condition[it]) for it in ("reason", "message") if condition.get(it))


def who_of(*about: object) -> str:
    """Return a digest of what a trouble is about; see `canary.routes.dialect.Trouble`."""
    return digest(list(about), _DIGITS)
