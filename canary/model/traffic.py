"""Which requests a canary gets: a share of them, those that match, a copy, and who stays with it.

It is said in words of no route kind; each dialect says it in its own.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Comparison(StrEnum):
    """How a value is held against the text of a condition, in Flagger's words.

    A regex has to fit the whole value; its syntax is the gateway's (RE2 with Envoy).
    """

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    REGEX = "regex"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What one header or query parameter must be."""

    name: str
    by: Comparison
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMatch:
    """What a request must look like: all of the conditions hold, and with none any request does."""

    headers: tuple[Condition, ...] = ()
    params: tuple[Condition, ...] = ()


class SameSite(StrEnum):
    """When a browser sends a cookie to another site."""

    STRICT = "Strict"
    LAX = "Lax"
    NONE = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """Keeps a user who has met a version with it, by a cookie that lasts `max_age`.

    `cookie` is the name of the canary's, `primary_cookie` that of the stable's, "" where nobody is
    kept with the stable. That one lasts `primary_max_age`, an interval of the analysis, so that who
    has the stable may get the canary at a later step. All else are attributes of both cookies; ""
    leaves one out. `value` is the cookies' value, one of its own for each run, so that a run before
    keeps nobody: "" until a run has the traffic.
    """

    cookie: str
    primary_cookie: str = ""
    max_age: timedelta = timedelta(days=1)
    primary_max_age: timedelta = timedelta(minutes=1)
    domain: str = ""
    path: str = ""
    http_only: bool = False
    secure: bool = False
    same_site: SameSite | None = None
    partitioned: bool = False
    value: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which requests the canary gets.

    `weight` is its share of those that any of `match` lets in (of all without one), `mirror` the
    share of the stable's requests that it gets a copy of, both in percent. `affinity` is None where
    each request is by itself. `run` tells for which run it is asked, "" where that makes no
    difference; it is no part of what the canary gets.
    """

    weight: int = 0
    match: tuple[RequestMatch, ...] = field(default=(), kw_only=True)
    mirror: int = field(default=0, kw_only=True)
    affinity: Affinity | None = field(default=None, kw_only=True)
    run: str = field(default="", kw_only=True, compare=False, repr=False)

    @property
    def is_nothing(self) -> bool:
        """Whether no request of any kind comes to the canary."""
        return not (self.weight or self.mirror)

    @property
    def is_a_share(self) -> bool:
        """Whether a share of all requests is all that it says."""
        return not (self.match or self.mirror or self.affinity)

    def of_run(self, run: str) -> "Traffic":
        """Return the traffic as a run has it.

        Args:
            run: what tells the run from all others, those of other targets too.

        """
        value = hashlib.sha256(run.encode()).hexdigest()[:16]
        kept = None if self.affinity is None else replace(self.affinity, value=value)
        return replace(self, affinity=kept, run=value)

    def __str__(self) -> str:
        """Say it for a person, such as "100 % of what matches"."""
        said = f"{self.weight} %{' of what matches' if self.match else ''}"
        if self.mirror:
            said += f" and a copy of {self.mirror} %"
        return f"{said}, by cookie" if self.affinity else said


NOTHING: Final = Traffic()
"""All requests are the stable's."""


def by_size(traffic: Traffic) -> tuple[int, int, str]:
    """Order traffic by how much it is."""
    return traffic.weight, traffic.mirror, str(traffic)
