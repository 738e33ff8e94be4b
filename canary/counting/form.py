"""From a share to counts: which counters are counted, out of which requests.

A share of counters is written as `offset + scale * counted / requests`, where each counter is in
either sum once, with plus or minus. There may be several ways: `(all - good) / all` is "all but
good" as well as one minus "good". The simplest is taken, in which all signs agree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from canary.counting.algebra import Share
from canary.counting.errors import NotCounts
from canary.counting.series import SeriesSelector

Signs = Mapping[SeriesSelector, int]
"""Counters, each with 1 or -1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """`offset + scale * counted / requests`."""

    offset: Fraction
    scale: Fraction
    counted: Signs
    requests: Signs

    def span(self) -> tuple[Fraction, Fraction]:
        """Return the lowest and the highest value: of no request counted, and of all."""
        ends = (self.offset, self.offset + self.scale)
        return min(ends), max(ends)

    def fraction(self, value: Fraction) -> Fraction:
        """Return which fraction of the requests is counted where the share has a value."""
        return (value - self.offset) / self.scale

    def others(self) -> Signs:
        """Return the requests that are not counted.

        Raises:
            NotCounts: they are no count of requests.

        """
        signs = {one: self.requests.get(one, 0) - self.counted.get(one, 0) for one in self._all()}
        if any(abs(sign) > 1 for sign in signs.values()) or max(signs.values()) < 1:
            raise NotCounts("what is left of all requests without the good ones is no count")
        return {one: sign for one, sign in signs.items() if sign}

    def _all(self) -> tuple[SeriesSelector, ...]:
        return tuple({**self.requests, **self.counted})


def formed(share: Share) -> Form:
    """Write a share as counts.

    Raises:
        NotCounts: it has no such form, or its parts cannot be of the same requests.

    """
    whole, requests = _requests(share.whole)
    found = sorted(_forms(share, whole, requests), key=lambda form: len(set(form.counted.values())))
    faults: list[str] = []
    for form in found:
        fault = _fault(form)
        if fault is None:
            return form
        faults.append(fault)
    none = "it weights counters differently, so that its value is no share of them"
    raise NotCounts(faults[0] if faults else none)


def _requests(whole: Mapping[SeriesSelector, Fraction]) -> tuple[Fraction, Signs]:
    """Return the denominator as a factor above zero and signs."""
    found = _signs(whole)
    if found is None or max(found[1].values()) < 1:
        raise NotCounts("what it divides by is no count of requests")
    return found


def _forms(share: Share, factor: Fraction, requests: Signs) -> Iterator[Form]:
    for offset in _offsets(share):
        rest = {
            one: value
            for one in {**share.part, **share.whole}
            if (value := share.part.get(one, 0) - offset * share.whole.get(one, 0))
        }
        if not rest:
            raise NotCounts("its value is always the same")
        if found := _signs(rest):
            yield _form(offset, found[0] / factor, found[1], requests)


def _offsets(share: Share) -> tuple[Fraction, ...]:
    """Return the offsets that take at least one counter out of the numerator; zero first."""
    taken = {share.part.get(one, Fraction(0)) / value for one, value in share.whole.items()}
    return (Fraction(0), *sorted(taken - {0}))


def _form(offset: Fraction, scale: Fraction, signs: Signs, requests: Signs) -> Form:
    # What falls with its counters is written with a scale below zero, so that these stay counts.
    # With both signs, what an offset was taken out for is something that it is "all but".
    falls = max(signs.values()) < 1 or (bool(offset) and min(signs.values()) < 0)
    if not falls:
        return Form(offset=offset, scale=scale, counted=signs, requests=requests)
    turned = {one: -sign for one, sign in signs.items()}
    return Form(offset=offset, scale=-scale, counted=turned, requests=requests)


def _signs(terms: Mapping[SeriesSelector, Fraction]) -> tuple[Fraction, Signs] | None:
    """Take out the factor above zero that leaves 1 and -1; None where there is none."""
    factors = {abs(value) for value in terms.values()}
    if len(factors) != 1:
        return None
    return factors.pop(), {one: 1 if value > 0 else -1 for one, value in terms.items()}


def _fault(form: Form) -> str | None:
    """Say why what has the form of a share cannot be one; None where it can."""
    return (
        next(filter(None, (_twice(signs) for signs in (form.counted, form.requests))), None)
        or _apart(_having(form.counted, -1), _having(form.counted, 1))
        or _apart(_having(form.requests, -1), _having(form.requests, 1))
        or _apart(_having(form.counted, 1), _having(form.requests, 1))
    )


def _twice(signs: Signs) -> str | None:
    """A request must be counted once."""
    for one, other in combinations(signs, 2):
        if signs[one] == signs[other] and (one.covers(other) or other.covers(one)):
            return f"it counts twice what is in both {one} and {other}"
    return None


def _apart(parts: list[SeriesSelector], wholes: list[SeriesSelector]) -> str | None:
    """What is a part must be one plainly; counters with another name are taken at their word."""
    for one in parts:
        alike = [whole for whole in wholes if whole.name == one.name]
        if alike and not any(whole.covers(one) for whole in alike):
            return (
                f"{one} is not plainly a part of what it is divided by or taken from; "
                "give both the same matchers, and the part one more"
            )
    return None


def _having(signs: Signs, sign: int) -> list[SeriesSelector]:
    return [one for one, its in signs.items() if its == sign]
