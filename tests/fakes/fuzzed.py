"""Inputs as nobody writes them, and how many of them are tried: few each time, many in the soak."""

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

T = TypeVar("T")

MOST: Final = int(os.environ.get("FUZZ_EXAMPLES", "20000"))
"""How many inputs of each kind `make soak` tries."""

SCALARS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 100, 101, 2**31, 2**63, 10**400, 1e300, 0.5, -0.0]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "web", "web-canary", "prod", "2026-01-01T00:00:00Z", "1m", "{", "NaN"]),
    st.text(max_size=12),
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=9), below, max_size=3)
    ),
    max_leaves=6,
)
DEEP: Final = st.sampled_from(["[", '{"a":', '{"targets":', '[{"a":']).flatmap(
    lambda opening: st.sampled_from([50, 2_000, 60_000]).map(lambda depth: opening * depth)
)
"""JSON that nests deeper than anybody's stack, as far as it goes before its end is missing."""


@dataclass(frozen=True, slots=True)
class Property(Generic[T]):
    """Inputs, and what holds of each of them."""

    drawn: st.SearchStrategy[T]
    holds: Callable[[T], None]
    few: int = 100

    def try_few(self) -> None:
        """Try the same few inputs each time."""
        self._try(settings(max_examples=self.few, deadline=None, derandomize=True))

    def try_many(self) -> None:
        """Try many inputs, others each time."""
        self._try(settings(max_examples=MOST, deadline=None, derandomize=False))

    def _try(self, how_many: settings) -> None:
        @settings(how_many, suppress_health_check=list(HealthCheck), print_blob=True)
        @given(self.drawn)
        def each(value: T) -> None:
            self.holds(value)

        with warnings.catch_warnings():
            # That what fails is long to look at must not stand in place of how it fails.
            warnings.simplefilter("ignore", HypothesisWarning)
            each()


@st.composite
def disturbed(draw: st.DrawFn, whole: Any, *, most: int = 3) -> Any:
    """Draw a copy of some JSON with something else in a few places, or without them."""
    found = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, most))):
        _disturb(draw, found)
    return found


def _disturb(draw: st.DrawFn, place: Any) -> None:
    while place:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        below = place[key]
        if isinstance(below, dict | list) and below and draw(st.integers(0, 3)):
            place = below
        elif draw(st.integers(0, 2)):
            place[key] = draw(VALUES)
            return
        else:
            del place[key]
            return


@st.composite
def cut_or_changed(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Draw a text that somebody has cut, doubled, or changed in a few places."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        put = draw(
            st.sampled_from([text[start:end] * 2, "", '"', "\\", "{", "}", "(", ")", "\x00"])
        )
        text = text[:start] + draw(st.just(put) | st.text(max_size=4)) + text[end:]
    return text
