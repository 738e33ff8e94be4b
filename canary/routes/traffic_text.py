"""A canary's traffic in a mark: a share of all requests is a number there, and all else an object.

The number is what every version has written. One that knows nothing else cannot read a mark with
an object in it, and leaves the route as it is: it must not give all users what only some match.
"""

from datetime import timedelta
from typing import Any

from canary.model.traffic import Affinity, Comparison, Condition, RequestMatch, SameSite, Traffic
from canary.model.values import FULL, Json


def traffic_entry(traffic: Traffic, *, alone: bool) -> Json:
    """Return the fields of a mark's entry that say a traffic.

    Args:
        traffic: what is said.
        alone: whether nothing stands on the route that only this version knows.

    """
    if traffic.is_a_share and alone:
        return {"weight": traffic.weight}
    said: Json = {"weight": traffic.weight}
    if traffic.match:
        said["match"] = [_match_entry(match) for match in traffic.match]
    if traffic.mirror:
        said["mirror"] = traffic.mirror
    if traffic.affinity is not None:
        said["affinity"] = _affinity_entry(traffic.affinity)
    return {"traffic": said}


def traffic_in(entry: Json) -> Traffic:
    """Read the traffic of a mark's entry.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, ArithmeticError: it is none of ours.

    """
    if "traffic" not in entry:
        return Traffic(_percent(entry["weight"]))
    said = entry["traffic"]
    return Traffic(
        _percent(said["weight"]),
        match=tuple(_match_in(match) for match in said.get("match") or ()),
        mirror=_percent(said.get("mirror") or 0),
        affinity=_affinity_in(said["affinity"]) if said.get("affinity") else None,
    )


def _percent(value: Any) -> int:
    share = int(value)
    if not 0 <= share <= FULL:
        raise ValueError(f"{share} is no share in percent")
    return share


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _match_entry(match: RequestMatch) -> Json:
    return {
        where: [[it.name, str(it.by), it.value] for it in conditions]
        for where, conditions in (("headers", match.headers), ("params", match.params))
        if conditions
    }


def _match_in(entry: Json) -> RequestMatch:
    return RequestMatch(
        headers=tuple(_condition(one) for one in entry.get("headers") or ()),
        params=tuple(_condition(one) for one in entry.get("params") or ()),
    )


def _condition(entry: Any) -> Condition:
    name, by, value = entry
    return Condition(name=_text(name), by=Comparison(by), value=_text(value))


def _affinity_entry(affinity: Affinity) -> Json:
    said = {
        "cookie": affinity.cookie,
        "primary": affinity.primary_cookie,
        "seconds": int(affinity.max_age.total_seconds()),
        "primarySeconds": int(affinity.primary_max_age.total_seconds()),
        "domain": affinity.domain,
        "path": affinity.path,
        "httpOnly": affinity.http_only,
        "secure": affinity.secure,
        "sameSite": str(affinity.same_site or ""),
        "partitioned": affinity.partitioned,
        "value": affinity.value,
    }
    return {name: it for name, it in said.items() if it or name.endswith("econds")}


def _affinity_in(entry: Json) -> Affinity:
    same_site = entry.get("sameSite")
    return Affinity(
        cookie=_text(entry["cookie"]),
        primary_cookie=_text(entry.get("primary", "")),
        max_age=timedelta(seconds=int(entry["seconds"])),
        primary_max_age=timedelta(seconds=int(entry["primarySeconds"])),
        domain=_text(entry.get("domain", "")),
        path=_text(entry.get("path", "")),
        http_only=bool(entry.get("httpOnly", False)),
        secure=bool(entry.get("secure", False)),
        same_site=SameSite(same_site) if same_site else None,
        partitioned=bool(entry.get("partitioned", False)),
        value=_text(entry.get("value", "")),
    )
