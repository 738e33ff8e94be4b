"""The mark of a route's splits: an annotation with one entry per target.

A route may lead to many targets. Each reads and writes its own entry, and what the team wrote of
the backends that were changed stands beside them, once for all.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from canary.contract import SPLIT
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key, from_text
from canary.routes.traffic_text import traffic_entry, traffic_in

MOST_TARGETS: Final = 256
"""Targets of one mark: a route of the Gateway API has 16 rules of 16 backends."""
LONGEST_WRITTEN: Final = 176 * 1024
"""Characters of a mark that is written.

The largest that there can be has 155,000: of 16 rules with one split each, and 14 backends beside
it whose group, kind, namespace and name are as long as the API takes them. All annotations of an
object have 256 KiB together.
"""
LONGEST_READ: Final = 192 * 1024
"""Characters of a mark that is read: what is written, and that each of its targets is leaving."""


_ELSEWHERE: Final = "elsewhere"
"""Field of an entry for the stable of a target of another namespace. Versions that know of none
would take the entry out of the mark and leave the canary in the rules: they cannot read it."""
_DECLINED: Final = "declined"
"""Field of an entry in place of its traffic. Versions that know of none would put the canary in
again and forget that it was declined: they cannot read it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """What a gateway did not take of a split: it stays out of the rules until that is another one.

    `shape` is a digest of what the canary was to get, `run` the run that asked for it, "" where
    that is not known, `text` a digest of the route as its team wrote it, `said` the gateway's own
    words. `unsure` says that another target's split that was as new stood beside it.
    """

    shape: str
    run: str
    text: str
    said: str
    unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSplit:
    """One target's split: its Services, and what the canary gets of the stable's traffic.

    `leaving` says that the canary is to be taken out: the entry itself goes with it. `taken` is a
    digest of what the gateways are known to have taken of it, "" for nothing yet. A split that is
    `declined` has nothing in the rules.
    """

    stable: str
    canary: str
    traffic: Traffic = NOTHING
    leaving: bool = False
    taken: str = ""
    declined: Declined | None = None

    @property
    def weight(self) -> int:
        """The canary's share of all requests, in percent: none where only some are matched."""
        return 0 if self.traffic.match else self.traffic.weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """All splits of one route, by target.

    `added` is what the dialect has put in beside weights, in its own words. `kept` is what it needs
    to give back what the team wrote; where it is empty, it reads that from the weights. `faults`
    are what gateways have against the route whatever we put there. `elder` is the namespace in a
    mark that the version before marks by target has written and must go on understanding, "" in all
    others.
    """

    splits: Mapping[str, TargetSplit] = field(default_factory=dict)
    kept: tuple[Json, ...] = ()
    added: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    elder: str = ""

    @property
    def staying(self) -> dict[str, TargetSplit]:
        """The splits that are to be on the route."""
        return {target: one for target, one in self.splits.items() if not one.leaving}

    @property
    def in_rules(self) -> dict[str, TargetSplit]:
        """The splits that are to be in its rules: those that no gateway has declined."""
        return {target: one for target, one in self.staying.items() if one.declined is None}

    def having(self, target: str, split: TargetSplit) -> "Mark":
        """Return the mark with this target's split in place of what it had."""
        return replace(self, splits={**self.splits, target: split})

    def leaving(self, *targets: str) -> "Mark":
        """Return the mark that has these targets' splits taken out, where it has them."""
        gone = {t: replace(self.splits[t], leaving=True) for t in targets if t in self.splits}
        return replace(self, splits={**self.splits, **gone})

    def dump(self) -> str:
        """Write the mark as the value of the route's annotation; "" for none."""
        if not self.splits:
            return ""
        value: Json = {
            "targets": {
                target: _entry(split, alone=not self.added) for target, split in self.splits.items()
            },
            **(self._in_elder_form() or {"rules": list(self.kept)}),
            **({"added": list(self.added)} if self.added else {}),
            **({"faults": list(self.faults)} if self.faults else {}),
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @property
    def too_much(self) -> str:
        """Why the mark is not to be written, in words; "" where it may be."""
        if len(self.splits) > MOST_TARGETS:
            return f"a route carries the splits of {MOST_TARGETS} targets at most"
        if len(self.dump()) > LONGEST_WRITTEN:
            return f"its mark would have more than {LONGEST_WRITTEN} characters"
        return ""

    def _in_elder_form(self) -> Json:
        """Return the fields that the version before reads; it knows a single target."""
        if not self.elder or len(self.splits) != 1 or not self.staying:
            return {}
        [(target, split)] = self.splits.items()
        if self.added or split.declined or not split.traffic.is_a_share:
            return {}
        return {
            "namespace": self.elder,
            "target": target,
            "stable": split.stable,
            "canary": split.canary,
            "weight": split.weight,
        }


NO_MARK = Mark()


def load_mark(text: str) -> Mark | None:
    """Read a mark; None for a text that this version cannot read, or is larger than any of ours."""
    if len(text) > LONGEST_READ:
        return None
    try:
        found = _read(from_text(text))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None
    if len(found.splits) > MOST_TARGETS or _is_tangled(found.splits.values()):
        return None
    return found


def _read(value: Json) -> Mark:
    """Return a mark in either form; what it raises says that it is none."""
    if "targets" not in value:
        return _load_elder(value)
    splits = {str(target): _split(entry) for target, entry in value["targets"].items()}
    return Mark(
        splits=splits,
        kept=tuple(map(_kept, value.get("rules") or ())),
        added=tuple(str(it) for it in value.get("added") or ()),
        faults=tuple(str(it) for it in value.get("faults") or ()),
        elder=str(value.get("namespace", "")) if len(splits) == 1 else "",
    )


def key_on(route: Json, target: str) -> Key:
    """Return which target a mark's entry is of: of another namespace's, it says which."""
    namespace, slash, name = target.rpartition("/")
    own = str(route["metadata"].get("namespace", ""))
    return Key(namespace=namespace if slash else own, name=name)


def text_of(route: Json) -> str:
    """Return the mark on a route as it is written there, "" for none."""
    return str((route["metadata"].get("annotations") or {}).get(SPLIT, ""))


def mark_of(route: Json) -> Mark | None:
    """Return the mark on a route; `NO_MARK` where it has none, None where it cannot be read."""
    text = text_of(route)
    return load_mark(text) if text else NO_MARK


def marked(route: Json, text: str) -> Json:
    """Return the route with this text as its mark, or without one for ""."""
    if text == text_of(route):
        return route
    metadata = dict(route["metadata"])
    notes = {**(metadata.pop("annotations", None) or {}), SPLIT: text}
    if not text:
        del notes[SPLIT]
    if notes:
        metadata["annotations"] = notes
    return {**route, "metadata": metadata}


def _load_elder(value: Json) -> Mark:
    """Read a mark of the version that knew one target per route."""
    return Mark(splits={str(value["target"]): _split(value)}, elder=str(value["namespace"]))


def _kept(rule: Any) -> Json:
    """Return what is kept of a rule.

    Raises:
        TypeError: it is no object, such as a list of pairs, which would be written as another one.

    """
    if not isinstance(rule, dict):
        raise TypeError(f"an object was expected, not {type(rule).__name__}")
    return rule


def _is_tangled(splits: Iterable[TargetSplit]) -> bool:
    """Tell whether a Service is a canary and somebody's stable, or the canary of two.

    None of our names do that, and it could not be written twice alike.
    """
    services = {(it.canary, it.stable) for it in splits}
    canaries = {canary for canary, _ in services}
    return len(canaries) < len(services) or any(stable in canaries for _, stable in services)


def _split(entry: Json) -> TargetSplit:
    return TargetSplit(
        stable=str(entry[_ELSEWHERE] if _ELSEWHERE in entry else entry["stable"]),
        canary=str(entry["canary"]),
        traffic=NOTHING if _DECLINED in entry else traffic_in(entry),
        leaving=bool(entry.get("leaving", False)),
        taken=str(entry.get("taken", "")),
        declined=_declined(entry[_DECLINED]) if _DECLINED in entry else None,
    )


def _declined(entry: Json) -> Declined:
    shape, run, text, said = (str(entry[it]) for it in ("shape", "run", "text", "said"))
    return Declined(
        shape=shape, run=run, text=text, said=said, unsure=bool(entry.get("unsure", False))
    )


def _entry(split: TargetSplit, *, alone: bool) -> dict[str, Any]:
    entry = {
        _ELSEWHERE if "/" in split.stable else "stable": split.stable,
        "canary": split.canary,
        **_what(split, alone=alone),
        **({"taken": split.taken} if split.taken else {}),
    }
    return {**entry, "leaving": True} if split.leaving else entry


def _what(split: TargetSplit, *, alone: bool) -> Json:
    if (it := split.declined) is None:
        return traffic_entry(split.traffic, alone=alone)
    said: Json = {"shape": it.shape, "run": it.run, "text": it.text, "said": it.said}
    return {_DECLINED: {**said, "unsure": True} if it.unsure else said}
