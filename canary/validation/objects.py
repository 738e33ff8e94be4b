"""Which writes of teams' objects are judged, and what is answered to each.

What does not change is never refused: a finalizer, a label or a status is written to objects that
an older release has taken, and to those that are on their way out.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from canary.contract import DOMAIN
from canary.model.values import Json
from canary.validation import alert_providers, canaries, templates
from canary.validation.verdict import InTime, Terms, Verdict, always

_NOTHING: Final = Verdict()
Judge = Callable[[Json, Terms, InTime], Verdict]
KINDS: Final[Mapping[str, Judge]] = MappingProxyType(
    {
        "canaries": canaries.check,
        "metrictemplates": lambda obj, terms, _: templates.check(obj, terms),
        "alertproviders": lambda obj, _, __: alert_providers.check(obj),
    }
)
"""What judges an object, by its resource."""


def check(
    resource: str, old: Json | None, new: Json, terms: Terms, in_time: InTime = always
) -> Verdict:
    """Judge a write.

    Of an object whose spec stays, what it was wrong in before is no more refused; what is said of
    its annotations is new where they are.

    Args:
        resource: a key of `KINDS`.
        old: the object as it is stored, None where it is created.
        new: the object that is to be stored.
        terms: the admin's.
        in_time: whether one more query may be read.

    """
    if "deletionTimestamp" in new["metadata"]:
        return _NOTHING
    if old is not None and _asked(old) == _asked(new):
        return _NOTHING
    if not isinstance(new.get("spec"), dict):
        return Verdict(refused=("spec: is missing; write what the object is to do",))
    found = KINDS[resource](new, terms, in_time)
    if old is None or old.get("spec") != new["spec"] or not found.refused:
        return found
    before = set(KINDS[resource](old, terms, in_time).refused)
    return Verdict(
        refused=tuple(one for one in found.refused if one not in before), warnings=found.warnings
    )


def _asked(obj: Json) -> tuple[object, dict[str, object]]:
    """Return what of an object is followed: its spec, and annotations of Headgate's domain."""
    notes = obj["metadata"].get("annotations") or {}
    ours = {name: text for name, text in notes.items() if name.startswith(f"{DOMAIN}/")}
    return obj.get("spec"), ours
