"""A gateway that does not take what was written: whose split it is, and how long it stays out.

Who comes by such a route gets errors, the stable's users with the canary's. So the split goes out
of the rules at once, and the mark remembers what was declined: for this traffic, this run and this
text of the team it is not put in again, whoever dies meanwhile.

A gateway is heard of the stored generation alone, and what it has against the route without us is
the team's. Of several targets of a route the one is to blame whose split is new to the gateways;
of several that are, one after the other goes out, until it is told what helped.

What is over by itself, such as a Service that a gateway has not heard of, is not remembered: the
split stays in the rules, without a share, for as long as that is said.
"""

from dataclasses import replace
from typing import Final

from canary.model.traffic import NOTHING, Traffic
from canary.model.values import FULL, Json
from canary.routes.dialect import Dialect, Trouble
from canary.routes.http_parts import digest
from canary.routes.mark import Declined, Mark, TargetSplit
from canary.routes.traffic_text import traffic_entry

MOST_SAID: Final = 200
"""Characters of a gateway's words that a mark keeps."""
_DIGITS: Final = 8
_PART: Final = 1
"""Stands for any share that is neither nothing nor all."""


def shape_of(traffic: Traffic) -> str:
    """Return a digest of what a gateway has to be able to for a traffic, however large it is."""
    affinity = traffic.affinity
    plain = replace(
        traffic,
        weight=min(traffic.weight, _PART),
        mirror=traffic.mirror if traffic.mirror in {0, FULL} else _PART,
        affinity=None if affinity is None else replace(affinity, value=""),
    )
    return digest(traffic_entry(plain, alone=False), _DIGITS)


def declines(dialect: Dialect, route: Json, mark: Mark, target: str, *, lasting: bool) -> str:
    """Say what a gateway has against a route for a target's split, "" where it has nothing.

    Args:
        dialect: the route's kind.
        route: as it is stored, with its status.
        mark: the one on it.
        target: what it is called there.
        lasting: whether what may be over by itself has lasted too long for that.

    """
    found = _new(dialect, route, mark, lasting=lasting)
    if not found or min(_untaken(dialect, route, mark), default="") != target:
        return ""
    return "; ".join(it.said for it in found)


def is_passing(dialect: Dialect, route: Json, mark: Mark, target: str) -> bool:
    """Tell whether there is something against a target's split that may be over by itself."""
    said = declines(dialect, route, mark, target, lasting=True)
    return bool(said) and not declines(dialect, route, mark, target, lasting=False)


def asked(
    dialect: Dialect, route: Json, mark: Mark, target: str, split: TargetSplit, *, lasting: bool
) -> Mark:
    """Return the mark for a split that a target asks for; one that is declined stays out.

    Args:
        dialect: the route's kind.
        route: as it is stored, with its status.
        mark: the one on it.
        target: what it is called there.
        split: what is asked for.
        lasting: see `declines`.

    """
    before = mark.staying.get(target)
    out = None if before is None else before.declined
    if before is None or out is not None:
        if out is not None and _stays(dialect, route, mark, out, split.traffic):
            return mark
        return _heard(dialect, route, mark).having(target, split)
    if (lasting or before.traffic.is_nothing) and is_passing(dialect, route, mark, target):
        # In the rules without a share nobody comes by it, and the gateway says when it is over.
        return mark.having(target, replace(split, traffic=NOTHING))
    said = declines(dialect, route, mark, target, lasting=lasting)
    same = shape_of(before.traffic) == shape_of(split.traffic)
    if said and (same or split.traffic.is_nothing):
        return mark.having(target, _out(dialect, route, mark, target, split, said))
    if (before.stable, before.traffic) == (split.stable, split.traffic):
        return mark
    known = _heard(dialect, route, mark)
    taken = known.splits[target].taken if same else ""
    return known.having(target, replace(split, taken=taken))


def _out(
    dialect: Dialect, route: Json, mark: Mark, target: str, split: TargetSplit, said: str
) -> TargetSplit:
    """Return a target's split that is taken out of the rules."""
    declined = Declined(
        shape=shape_of(mark.splits[target].traffic),
        run=split.traffic.run,
        text=_text(dialect, route, mark),
        said=said[:MOST_SAID],
        unsure=len(_untaken(dialect, route, mark)) > 1,
    )
    return replace(split, traffic=NOTHING, declined=declined)


def _stays(dialect: Dialect, route: Json, mark: Mark, declined: Declined, traffic: Traffic) -> bool:
    """Tell whether what was declined is not to be put in again.

    A gateway that has something against the route without anything new of ours declines the
    team's own text; and where another split was as new, it may have been that one.
    """
    if traffic.is_nothing:
        return True
    if (declined.shape, declined.run) != (shape_of(traffic), traffic.run):
        return False
    if declined.text != _text(dialect, route, mark):
        return False
    if _untaken(dialect, route, mark):
        return True
    return not declined.unsure and not _new(dialect, route, mark, lasting=True, of_ours=False)


def _heard(dialect: Dialect, route: Json, mark: Mark) -> Mark:
    """Return a mark with what the gateways are known to take, and to have against the team's text.

    While something new stands in the rules, nobody knows what a new trouble is about.
    """
    if not _realized(dialect, route, mark):
        return mark
    word, text = dialect.word(route), _text(dialect, route, mark)
    new = {it.who for it in word.troubles} - set(mark.faults)
    if new and _untaken(dialect, route, mark):
        return mark
    faults = {it.who for it in word.troubles} | (set() if word.whole else set(mark.faults))
    splits = dict(mark.splits)
    if word.whole:
        for name in _standing(dialect, route, mark):
            splits[name] = replace(splits[name], taken=_taken(splits[name], text))
    return replace(mark, splits=splits, faults=tuple(sorted(faults)))


def _new(
    dialect: Dialect, route: Json, mark: Mark, *, lasting: bool, of_ours: bool = True
) -> tuple[Trouble, ...]:
    """Return what gateways have against a route that they had not before.

    Args:
        dialect: the route's kind.
        route: as it is stored, with its status.
        mark: the one on it.
        lasting: whether what may be over by itself counts.
        of_ours: whether anything of ours has to stand in the rules.

    """
    troubles = [
        it
        for it in dialect.word(route).troubles
        if it.who not in mark.faults and (lasting or not it.passing)
    ]
    if not troubles or not _realized(dialect, route, mark):
        return ()
    return tuple(troubles) if not of_ours or _standing(dialect, route, mark) else ()


def _untaken(dialect: Dialect, route: Json, mark: Mark) -> list[str]:
    """Return the targets whose splits stand in the rules and are new to the gateways."""
    standing = _standing(dialect, route, mark)
    text = _text(dialect, route, mark) if standing else ""
    return [name for name, it in standing.items() if it.taken != _taken(it, text)]


def _standing(dialect: Dialect, route: Json, mark: Mark) -> dict[str, TargetSplit]:
    return {name: it for name, it in mark.in_rules.items() if dialect.leads_to(route, it.canary)}


def _realized(dialect: Dialect, route: Json, mark: Mark) -> bool:
    """Tell whether the rules are what the mark makes of them: the gateways speak of that."""
    return bool(dialect.with_traffic(route, mark).spec == route["spec"])


def _text(dialect: Dialect, route: Json, mark: Mark) -> str:
    return digest(dialect.without_traffic(route, mark), _DIGITS)


def _taken(split: TargetSplit, text: str) -> str:
    return digest([shape_of(split.traffic), text], _DIGITS)
