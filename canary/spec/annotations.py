"""What annotations of a Canary say: settings that Flagger's fields have no place for."""

from canary.model.values import Json
from canary.spec.problems import Problems
from canary.spec.settings import Tuning, from_annotations


def annotated(canary: Json, problems: Problems, admin: Tuning) -> Tuning:
    """Return how a Canary asks to be judged.

    Args:
        canary: the object.
        problems: where mistakes are noted.
        admin: what holds where it says nothing.

    """
    return from_annotations(canary["metadata"].get("annotations") or {}, problems, admin)
