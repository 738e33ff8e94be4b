"""From Flagger's `match`, `mirror` and `sessionAffinity` to the traffic that they speak of."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from canary.counting.patterns import PatternError, check
from canary.model.traffic import Affinity, Comparison, Condition, RequestMatch, SameSite
from canary.model.values import FULL, Json
from canary.spec import parsers
from canary.spec.parsers import shown
from canary.spec.problems import Problems

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}")
"""A header's or cookie's name: a token of RFC 9110, section 5.6.2, as long as a route takes it."""
_LONGEST_VALUES: Final = {"headers": 4096, "queryParams": 1024}
"""Characters that the Gateway API takes as the value of either."""
_ATTRIBUTE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
"""Value of a cookie's attribute: anything that is printed but a semicolon (RFC 6265, 4.1.1)."""
_PERCENT: Final = parsers.whole(1, FULL, such_as="20")


def matches(analysis: Json, problems: Problems) -> tuple[RequestMatch, ...]:
    """Read which requests an analysis is about; none where it is about all of them.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.

    """
    entries = analysis.get("match") or ()
    return tuple(_match(f"analysis.match[{at}]", one, problems) for at, one in enumerate(entries))


def _match(where: str, entry: Json, problems: Problems) -> RequestMatch:
    for strange in sorted(set(entry) - {"headers", "queryParams"}):
        if entry[strange]:
            problems.found.append(f"{where}.{strange}: no HTTPRoute can match it; remove it")
    found = RequestMatch(
        headers=tuple(_conditions(where, "headers", entry, problems)),
        params=tuple(_conditions(where, "queryParams", entry, problems)),
    )
    if not (found.headers or found.params):
        problems.found.append(
            f"{where}: names no header and no query parameter, so every request would match; "
            "name one, or use stepWeight for a share of all requests"
        )
    return found


def _conditions(match: str, field: str, entry: Json, problems: Problems) -> Iterator[Condition]:
    where, longest = f"{match}.{field}", _LONGEST_VALUES[field]
    for name, test in (entry.get(field) or {}).items():
        if not _NAME.fullmatch(name):
            problems.found.append(f"{where}: {shown(name)} is no name that a route can match")
        for how, value in test.items():
            problems.found += _wrong(f"{where}.{name}.{how}", how, value, longest)
            if how in set(Comparison):
                yield Condition(name=name, by=Comparison(how), value=value)


def _wrong(where: str, how: str, value: str, longest: int) -> list[str]:
    if how not in set(Comparison):
        return [f"{where}: use one of {', '.join(Comparison)}"]
    if not 0 < len(value) <= longest:
        return [f"{where}: must have 1 to {longest} characters"]
    try:
        if how == Comparison.REGEX:
            check(value)
    except PatternError as error:
        return [f"{where}: {error}"]
    return []


def mirrored(analysis: Json, problems: Problems) -> int:
    """Read which share of the requests is copied to the canary, in percent; 0 for none.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.

    """
    said = analysis.get("mirrorWeight") or None
    share = problems.read("analysis.mirrorWeight", _PERCENT, said, FULL)
    return share if analysis.get("mirror") else 0


def affinity(analysis: Json, problems: Problems, *, interval: timedelta) -> Affinity | None:
    """Read by which cookies users are kept with the version that they have met, if they are.

    Args:
        analysis: `spec.analysis` of a Canary.
        problems: where mistakes are noted.
        interval: between two steps: so long the stable's cookie lasts.

    """
    said = analysis.get("sessionAffinity")
    if not said:
        return None
    where = "analysis.sessionAffinity"
    names = said.get("cookieName") or "", said.get("primaryCookieName") or ""
    problems.found += _wrong_names(where, *names)
    problems.found += [
        f"{where}.{name}: {shown(said[name])} has characters that no cookie's {name} has"
        for name in ("domain", "path")
        if not _ATTRIBUTE.fullmatch(said.get(name) or "")
    ]
    age = said.get("maxAge") or None
    return Affinity(
        cookie=names[0],
        primary_cookie=names[1],
        max_age=problems.read(f"{where}.maxAge", parsers.whole_seconds, age, timedelta(days=1)),
        primary_max_age=interval,
        domain=said.get("domain") or "",
        path=said.get("path") or "",
        http_only=bool(said.get("httpOnly")),
        secure=bool(said.get("secure")),
        same_site=SameSite(said["sameSite"]) if said.get("sameSite") in set(SameSite) else None,
        partitioned=bool(said.get("partitioned")),
    )


def _wrong_names(where: str, canary: str, primary: str) -> list[str]:
    """Say what is wrong with the cookies' names; Flagger refuses two of one name as well."""
    found = [
        f"{where}.{field}: {shown(name)} is no name of a cookie; write letters, digits and dashes"
        for field, name in (("cookieName", canary), ("primaryCookieName", primary))
        if not _NAME.fullmatch(name) and (name or field == "cookieName")
    ]
    if canary and canary == primary:
        found.append(f"{where}: cookieName and primaryCookieName must differ")
    return found
