"""Routes that are made from a Canary: which of those that there are is its own."""

from analyzer.routers.standing import name_of
from canary.model.values import Json
from canary.objects.ownership import Ownership, owned_by, whose_it_is

Place = tuple[str, str, str]
"""Kind, namespace and name."""


def place_of(obj: Json) -> Place:
    """Return where an object is, which has its kind."""
    metadata = obj["metadata"]
    return obj["kind"], metadata["namespace"], metadata["name"]


def another_s(found: Json, wanted: Json, owner: Json) -> str:
    """Say that the place of an object that is to be made is taken, and by whose."""
    named = f"{wanted['kind']} {name_of(wanted)}"
    return f"{named} exists and is not the one of Canary {owner['name']} ({whose_it_is(found)})"


def is_own(route: Json, wanted: Json, owner: Json) -> bool:
    """Tell whether a route is the one that was made from the Canary, perhaps an older one.

    One of a Canary of that name that has gone is taken over, before the cluster deletes it.
    """
    canary = {"kind": owner["kind"], "metadata": {"name": owner["name"], "uid": owner["uid"]}}
    is_made = owned_by(route, canary) is not Ownership.STRANGERS
    return place_of({"kind": wanted["kind"], **route}) == place_of(wanted) and is_made
