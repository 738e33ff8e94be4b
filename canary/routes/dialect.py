"""What a kind of route has to say for itself; everything else is the same for all kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.mark import Mark, TargetSplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A route's spec that carries its splits, and the mark that stands beside it."""

    spec: Json
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a gateway has against a route as it is stored.

    `who` is a digest of which gateway it is and what it is about, the same as long as it has it,
    `said` its own words. It is `passing` where that is over by itself if all is well, such as a
    Service that the gateway has not heard of yet.
    """

    who: str
    said: str
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the gateways say of a route as it is stored, and of no generation before.

    It is `whole` once every one that says anything of the route has told of this generation.
    """

    troubles: tuple[Trouble, ...] = ()
    whole: bool = False


class Dialect(Protocol):
    """One kind of route, as pure functions of a route's object.

    The laws that each kind keeps are in tests/unit/canary/routes: taking out what was put in gives
    back what the team wrote; splits of two targets commute; applying twice is applying once; what
    the team changes meanwhile survives.
    """

    kind: str
    """The `kind` of its objects."""

    def leads_to(self, route: Json, service: str) -> bool:
        """Tell whether the route sends traffic to a Service of its own namespace."""

    def with_traffic(self, route: Json, mark: Mark) -> Written:
        """Return what the route has to be for the mark's splits, whoever wrote it last.

        Args:
            route: as it is stored, or about to be.
            mark: the splits that are asked for, and what was kept of the team's text when the
                route was last written. Those that are leaving are taken out.

        """

    def without_traffic(self, route: Json, mark: Mark) -> Json:
        """Return the route's spec as the team wrote it."""

    def refused(self, route: Json, mark: Mark) -> Mapping[str, str]:
        """Say by target why a route cannot carry its split of a mark, and how to mend it.

        What it cannot carry `with_traffic` leaves out, so that nobody's write is refused for it.
        """

    def carried(self, route: Json, split: TargetSplit) -> frozenset[Traffic]:
        """Return what the canary gets, wherever the route has traffic for the stable.

        Read from the route, not from its mark: this is what users get. What stands there and is
        neither the mark's nor a share by itself is told as the share that it is of all requests.
        """

    def accepted(self, route: Json) -> bool:
        """Tell whether every gateway has taken the route as it is stored."""

    def lag(self, route: Json) -> str:
        """Say who tells which generation he has seen, and has not seen the stored one; else ""."""

    def word(self, route: Json) -> Word:
        """Return what the gateways say of the route as it is stored, as far as its kind tells."""

    def companions(self, route: Json, mark: Mark) -> tuple[Json, ...]:
        """Return the objects that the splits need beside the route, for server-side apply.

        They are made before the mark is written, and deleted before the mark that needed them goes.
        """
