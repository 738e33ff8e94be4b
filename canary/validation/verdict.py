"""What is answered to the write of an object, and by what it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from canary.spec.defaults import Defaults


class Unparsed(StrEnum):
    """What becomes of a query that the PromQL parser refuses: other servers know more words."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with an object, and what is doubtful in it; each says how to mend it."""

    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the admin allows: `defaults` and `cross_namespace` are the analyzer's own."""

    defaults: Defaults = Defaults()
    cross_namespace: bool = False
    unparsed: Unparsed = Unparsed.REFUSE


InTime = Callable[[], bool]
"""Tells whether there is time to read one more query: each may take a tenth of a second."""


def always() -> bool:
    """Tell that there is time."""
    return True
