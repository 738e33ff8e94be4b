"""The learned bound: how high the stable's bad rate may truly have been, given its history.

With K bad of N requests, both divided by the dispersion, the rate's upper confidence bound at
level 1 - a is the quantile of a gamma distribution with shape K + 1, over N (Garwood, 1936). It
takes for granted that the stable's rate has not moved since: it is only ever used together with
the guard, which compares with the stable of the same moment.
"""

import math
from functools import lru_cache
from typing import Final

_ROUNDS: Final = 80
_TERMS: Final = 100_000
_TINY: Final = 1e-300
_EXACT: Final = 1e-15
_LARGE_SHAPE: Final = 1e6


def upper_rate(bad: float, requests: float, dispersion: float, level: float) -> float:
    """Return the rate that the true one exceeds with a chance of at most `level`."""
    return gamma_quantile(bad / dispersion + 1, level) / (requests / dispersion)


def quick_upper_rate(bad: float, requests: float, dispersion: float, level: float) -> float:
    """Return the same by the approximation alone, in a hundredth of the time.

    It is within a percent from one bad request on, and 4 % too high with none.
    """
    return _wilson_hilferty(bad / dispersion + 1, level) / (requests / dispersion)


def gamma_quantile(shape: float, upper_tail: float) -> float:
    """Return the point that a gamma variable of this shape and scale 1 exceeds so rarely.

    Found by bisection around the approximation of Wilson and Hilferty (1931), which stands alone
    for shapes beyond a million, where it is right to eight digits.
    """
    guess = _wilson_hilferty(shape, upper_tail)
    if shape > _LARGE_SHAPE:
        return guess
    low, high = guess / 2, guess * 2 + 1
    while gamma_tail(shape, low) < upper_tail:
        low /= 2
    while gamma_tail(shape, high) > upper_tail:
        high *= 2
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if gamma_tail(shape, middle) > upper_tail:
            low = middle
        else:
            high = middle
    return high


def gamma_tail(shape: float, point: float) -> float:
    """Return the chance that a gamma variable exceeds a point.

    By its series below the mode and by Lentz's continued fraction above.
    """
    if point <= 0:
        return 1.0
    scale = math.exp(shape * math.log(point) - point - math.lgamma(shape))
    if point < shape + 1:
        return 1.0 - scale * _series(shape, point)
    return scale * _fraction(shape, point)


def _series(shape: float, point: float) -> float:
    term = total = 1 / shape
    for index in range(1, _TERMS):
        term *= point / (shape + index)
        total += term
        if term < total * _EXACT:
            break
    return total


def _fraction(shape: float, point: float) -> float:
    b = point + 1 - shape
    c, d = 1 / _TINY, 1 / b
    result = d
    for index in range(1, _TERMS):
        an, b = -index * (index - shape), b + 2
        d = 1 / ((an * d + b) or _TINY)
        c = (b + an / c) or _TINY
        result *= d * c
        if abs(d * c - 1) < _EXACT:
            break
    return result


def _wilson_hilferty(shape: float, upper_tail: float) -> float:
    third = 1 / (9 * shape)
    cube: float = (1 - third + _normal_quantile(upper_tail) * math.sqrt(third)) ** 3
    return shape * max(cube, _EXACT)


@lru_cache(maxsize=64)
def _normal_quantile(upper_tail: float) -> float:
    low, high = -40.0, 40.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) / 2 > upper_tail:
            low = middle
        else:
            high = middle
    return high
