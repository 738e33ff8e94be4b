"""A match of an HTTPRoute together with one of an analysis: requests that both let in."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from canary.model.traffic import Comparison, Condition, RequestMatch
from canary.model.values import Json

_ANY_PATH: Final = {"type": "PathPrefix", "value": "/"}
_PATTERNS: Final = {Comparison.PREFIX: "{}.*", Comparison.SUFFIX: ".*{}"}


class UnsaidError(ValueError):
    """A rule of the team's cannot be given this traffic; says why, with how to mend it."""


def comparison(kind: str) -> Comparison:
    """Return the comparison of a name; one that is not known is the exact one."""
    return Comparison(kind) if kind in set(Comparison) else Comparison.EXACT


def value_match(by: Comparison, value: str) -> Json:
    """Return a test of a header or parameter; the Gateway API knows exact values and patterns."""
    if by is Comparison.EXACT:
        return {"type": "Exact", "value": value}
    pattern = value if by is Comparison.REGEX else _PATTERNS[by].format(re.escape(value))
    return {"type": "RegularExpression", "value": pattern}


def both(theirs: Json, ours: RequestMatch) -> Json | None:
    """Return a match of what both let in, None where that is nothing."""
    headers = _joined(theirs.get("headers"), ours.headers, lowered)
    params = _joined(theirs.get("queryParams"), ours.params, str)
    if headers is None or params is None:
        return None
    tests = {"headers": headers, "queryParams": params}
    return {
        "path": dict(_ANY_PATH),
        **theirs,
        **{which: found for which, found in tests.items() if found},
    }


def _joined(
    theirs: list[Json] | None, ours: Iterable[Condition], spelled: Callable[[object], str]
) -> list[Json] | None:
    """Return the tests of both, None where no value passes two of one name."""
    found = list(theirs or ())
    for condition in ours:
        test = {"name": condition.name, **value_match(condition.by, condition.value)}
        same = [it for it in found if spelled(it.get("name")) == spelled(condition.name)]
        if not same:
            found.append(test)
        elif not _agree(same[0], test):
            return None
    return found


def lowered(name: object) -> str:
    """Return a header's name as it is compared."""
    return str(name).lower()


def _agree(theirs: Json, ours: Json) -> bool:
    """Tell whether one test of a name can stand for both; False where no value passes both."""
    one, other = ({"type": "Exact", **it, "name": ""} for it in (theirs, ours))
    if one == other:
        return True
    if one["type"] == other["type"] == "Exact":
        return False
    raise UnsaidError(
        f"a rule matches {ours['name']} already, and an HTTPRoute tests each header or parameter "
        "once; match another one in the Canary's analysis or in the route"
    )
