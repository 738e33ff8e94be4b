"""The cookies by which users are kept with a version, in the fields that Flagger has for them."""

from canary.model.state import State
from canary.model.values import Json, Key


def cookies(state: State, key: Key) -> Json:
    """Return the fields of `Canary.status` that show a run's cookies, each None where it has none.

    Args:
        state: the run.
        key: its target.

    """
    affinity = state.traffic_of(key).affinity
    canary = primary = None
    if affinity is not None and affinity.value:
        canary = f"{affinity.cookie}={affinity.value}"
        primary = f"{affinity.primary_cookie}={affinity.value}" if affinity.primary_cookie else None
    return {"sessionAffinityCookie": canary, "primarySessionAffinityCookie": primary}
