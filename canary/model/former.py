"""Reads what earlier releases stored: marks that are short hashes of templates.

A mark says which template is meant and nothing else. So a short one can be read wherever templates
are at hand: it stands for the one of them that had this short hash. A mark of no template at hand
stays as it is and equals no identity: what it meant is gone, or is not the one that is asked about.
The rules never learn how a mark was written.
"""

from dataclasses import dataclass
from typing import Final

from canary.contract import HOLD, PROMOTING, REFUSED, STABLE
from canary.model.hashing import SHORT_DIGITS, short_hash, template_hash
from canary.model.values import Json

MARKS: Final = (HOLD, STABLE, PROMOTING, REFUSED)
"""Annotations of a target whose values are identities."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The templates that a mark may speak of, the likeliest first."""

    templates: tuple[Json, ...] = ()

    def current(self, mark: str) -> str:
        """Return a mark as it is written today.

        Args:
            mark: what is stored; only one of the former length is looked up.

        """
        if len(mark) != SHORT_DIGITS:
            return mark
        meant = (template for template in self.templates if short_hash(template) == mark)
        return next((template_hash(template) for template in meant), mark)


def outdated_marks(annotations: dict[str, str], known: Identities) -> dict[str, str]:
    """Return the marks of a target that are to be written anew, with what they are today.

    Args:
        annotations: the target's.
        known: the target's template and those of its ReplicaSets.

    """
    found = {key: known.current(annotations[key]) for key in MARKS if key in annotations}
    return {key: value for key, value in found.items() if value != annotations[key]}
