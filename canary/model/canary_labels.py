"""Which labels the canary's pods wear, so that they are nobody's but the canary's.

They are the candidate's own labels, changed as little as will do: the target's selector must not
take them in, and no Service but the canary's may send them traffic. A label that is not changed
goes on meaning what it means to monitors, policies and meshes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, count
from typing import Final

from canary.contract import CANARY_SUFFIX, SELECTOR_KEYS, TARGET_LABEL
from canary.model.names import MOST_IN_A_LABEL, suffixed, target_label
from canary.model.selection import (
    Operator,
    Requirement,
    Selection,
    Selector,
    as_text,
    selects,
    service_selector,
    workload_selector,
)
from canary.model.values import Json

MOST_TRIED: Final = 10
"""Labels of which every combination is tried, for the fewest; of more, none is changed in vain."""


class UnsuitableTarget(ValueError):  # noqa: N818 - a finding about the target, shown to its team
    """The target's labels leave no way to tell canary pods from stable ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryLabels:
    """What tells the canary from its target.

    `template` are the labels of the candidate's template, `pods` what the canary's pods wear
    instead. `selector` is the canary Deployment's, `service` the canary Service's. The Service also
    asks for what the stable Service asks beyond the template (a label that a leader gives itself):
    pods that it would not send traffic to get none as canaries either. `joins` are labels that they
    wear instead while the stable Service is to send them its own requests, empty where it never is.
    """

    template: Mapping[str, str]
    pods: Mapping[str, str]
    selector: Mapping[str, str]
    service: Mapping[str, str]
    joins: Mapping[str, str] = field(default_factory=dict)


def canary_labels(
    target: Json,
    services: Iterable[Json],
    *,
    stable: str,
    own: str,
    live: Sequence[Mapping[str, str]] = (),
    worn: Mapping[str, str] | None = None,
    joins: bool = False,
) -> CanaryLabels:
    """Choose the labels of the canary's pods: the fewest changes, and Flagger's labels first.

    Args:
        target: the Deployment, with the candidate template.
        services: all Services of its namespace.
        stable: name of the Service whose traffic is split; it counts as one over the target's pods
            also where its selector asks for more than the template says. "" if there is none.
        own: name of the canary's Service, which counts for nothing here.
        live: labels of the target's pods as they are, where they are known: Services that select by
            what pods are given while they run are found by them.
        worn: labels in the template of a canary of this very candidate that is there already. They
            are kept while they will do: a Service that comes or goes in mid-run rolls no canary.
        joins: whether the pods are to join the stable Service for a share of its requests: then
            they differ from the target's in a label that it does not select by.

    Raises:
        UnsuitableTarget: there is no such choice; the message names the selector or the Service
            that forbids it and how to mend it.

    """
    template = dict(target["spec"]["template"].get("metadata", {}).get("labels") or {})
    others = tuple(_read(services, own))
    selector = workload_selector(target)
    asked = next((one.asked for one in others if one.name == stable), {})
    told = {key: value for key, value in asked.items() if template.get(key) == value}
    choice = _Choice(
        name=target["metadata"]["name"],
        template=template,
        selector=selector,
        services=others,
        over=frozenset(
            one.name
            for one in others
            if one.name == stable or any(selects(one.selector, labels) for labels in live)
        ),
        taken=_taken((selector, *(one.selector for one in others))),
        stable=stable,
        joins=told if joins else None,
    )
    pods = choice.made() if worn is None or not choice.will_do(worn) else dict(worn)
    beyond = {key: value for key, value in asked.items() if key not in told}
    return CanaryLabels(
        template=template,
        pods=pods,
        selector={TARGET_LABEL: choice.mark},
        service={**beyond, TARGET_LABEL: choice.mark},
        joins={key: value for key, value in (choice.joins or {}).items() if pods.get(key) != value},
    )


def finding(target: Json) -> str:
    """Return why a Deployment can have no canary, as far as it shows alone; "" if it can."""
    try:
        canary_labels(target, (), stable="", own="")
    except UnsuitableTarget as problem:
        return str(problem)
    return ""


def strangers(services: Iterable[Json], labels: Mapping[str, str], own: str) -> tuple[str, ...]:
    """Return the names of the Services that send traffic to the canary and are not its own.

    Args:
        services: all Services of the namespace.
        labels: a canary pod's, as they are or as they are planned.
        own: name of the canary's Service.

    """
    found = (one.name for one in _read(services, own) if selects(one.selector, labels))
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """A Service that selects pods: how it is written, and how that is read."""

    name: str
    asked: Mapping[str, str]
    selector: Selector


def _read(services: Iterable[Json], own: str) -> Iterator[_Service]:
    """Yield the Services that send traffic to pods, without the canary's own."""
    for service in services:
        name, selection = service["metadata"]["name"], service_selector(service)
        if name != own and isinstance(selection, Selector):
            yield _Service(name=name, asked=service["spec"]["selector"], selector=selection)


def _taken(selections: Iterable[Selection]) -> dict[str, set[str]]:
    """Return, by label, the values that selectors speak of."""
    found: dict[str, set[str]] = {}
    for selection in selections:
        if isinstance(selection, Selector):
            for one in selection.requirements:
                found.setdefault(one.key, set()).update(one.values)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What a choice of labels depends on.

    `over` names the Services that are over the target's pods whatever the template says, `taken`
    are the values that selectors speak of, by label. `joins` are the labels by which the `stable`
    Service selects the target's pods, where the canary's are to join it, else None.
    """

    name: str
    template: Mapping[str, str]
    selector: Selection
    services: tuple[_Service, ...]
    over: frozenset[str]
    taken: Mapping[str, set[str]]
    stable: str
    joins: Mapping[str, str] | None

    @property
    def mark(self) -> str:
        """Value of the label that only the canary's pods wear."""
        return target_label(self.name)

    def will_do(self, labels: Mapping[str, str]) -> bool:
        """Tell whether pods of these labels are the canary's and nobody else's."""
        return (
            labels.get(TARGET_LABEL) == self.mark
            and self.template.get(TARGET_LABEL) != self.mark
            and not selects(self.selector, labels)
            and not any(self._would_reach(one, labels) for one in self.services)
            and self._may_join(labels)
        )

    def _may_join(self, labels: Mapping[str, str]) -> bool:
        """Tell whether pods of these labels, once they join, are in nothing but the Service."""
        if self.joins is None:
            return True
        joined = {**labels, **self.joins}
        return (
            bool(self.joins)
            and not selects(self.selector, joined)
            and not any(self._would_reach(one, joined) for one in self._others())
        )

    def _others(self) -> tuple[_Service, ...]:
        return tuple(one for one in self.services if one.name != self.stable)

    def made(self) -> dict[str, str]:
        """Return the labels of the canary's pods."""
        if self.template.get(TARGET_LABEL) == self.mark:
            raise UnsuitableTarget(
                f"the pod template of deployment {self.name} has the label {TARGET_LABEL}="
                f"{self.mark}, by which the canary's pods are known: take it out of the template"
            )
        marked = {**self.template, TARGET_LABEL: self.mark}
        ways = list(self._ways_out(marked))
        if not ways:
            raise UnsuitableTarget(self._no_way_out())
        if self.joins is not None:
            ways = [way for way in map(self._joining, ways) if way is not None]
            if not ways:
                raise UnsuitableTarget(self._no_way_in())
        found = [made for made in (self._beside_services(way) for way in ways) if made is not None]
        if not found:
            raise UnsuitableTarget(self._services_in_the_way(ways))
        return min(found, key=partial(_changes, self.template))

    def _ways_out(self, marked: dict[str, str]) -> Iterator[dict[str, str]]:
        """Yield labels that the target's selector does not take in, by one edit each."""
        if not selects(self.selector, marked):
            yield marked
            return
        if not isinstance(self.selector, Selector):
            return
        for requirement in sorted(self.selector.requirements, key=_rank):
            if requirement.key != TARGET_LABEL:
                yield from self._without(requirement, marked)

    def _without(
        self, requirement: Requirement, labels: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        """Yield the labels with one changed, added or taken off, so that they do not meet it."""
        key = requirement.key
        match requirement.operator:
            case Operator.IN | Operator.DOES_NOT_EXIST:
                yield {**labels, key: self._fresh(key)}
            case Operator.NOT_IN:
                yield from ({**labels, key: value} for value in sorted(requirement.values))
            case Operator.EXISTS:
                yield {other: value for other, value in labels.items() if other != key}

    def _joining(self, way: dict[str, str]) -> dict[str, str] | None:
        """Return labels with which pods may join, with as many more changed as that takes."""
        joins = self.joins or {}
        joined = {**way, **joins}
        open_to = [
            self._changeable(one, joined) - set(joins)
            for one in self._others()
            if self._would_reach(one, joined)
        ]
        if not joins or not all(open_to) or selects(self.selector, joined):
            return None
        return {**way, **{key: self._fresh(key) for key in _fewest(open_to)}}

    def _beside_services(self, way: dict[str, str]) -> dict[str, str] | None:
        """Return the labels with as many more changed as the Services ask for, if that can be."""
        open_to = [
            self._changeable(one, way) for one in self.services if self._would_reach(one, way)
        ]
        if not all(open_to):
            return None
        changed = {key: self._fresh(key) for key in _fewest(open_to)}
        return {**way, **changed}

    def _would_reach(self, service: _Service, labels: Mapping[str, str]) -> bool:
        """Tell whether a Service sends traffic to pods of these labels, or may while they run.

        What it asks beyond the template, pods may be given later: for the stable Service, and for
        those that select a pod of the target's today, only the template's labels keep it away.
        """
        if selects(service.selector, labels):
            return True
        if service.name not in self.over:
            return False
        known = {**self.template, TARGET_LABEL: self.mark}
        told = [one for one in service.selector.requirements if one.accepts(known)]
        return bool(told) and all(one.accepts(labels) for one in told)

    def _changeable(self, service: _Service, way: Mapping[str, str]) -> frozenset[str]:
        """Return the labels that may be changed to keep a Service away."""
        return frozenset(
            key
            for key, asked in service.asked.items()
            if self.template.get(key) == way.get(key) == asked and key != TARGET_LABEL
        )

    def _fresh(self, key: str) -> str:
        """Return a value that no selector here speaks of, `<value>-canary` if it is free."""
        taken = self.taken.get(key, set())
        value = self.template.get(key, "")
        endings = (f"{CANARY_SUFFIX}{'' if n == 1 else f'-{n}'}" for n in count(1))
        # An empty value has nothing to begin with, and a label's value begins with no hyphen.
        made = (
            suffixed(value, ending, MOST_IN_A_LABEL) if value else ending[1:] for ending in endings
        )
        return next(one for one in made if one not in taken)

    def _no_way_out(self) -> str:
        if not isinstance(self.selector, Selector) or not self.selector.requirements:
            return (
                f"deployment {self.name} selects by no label: give spec.selector one, such as app"
            )
        return (
            f"deployment {self.name} selects by {as_text(self.selector)}, and no label of its own "
            "in which its canary's pods could differ: it has to be made anew with one in "
            "spec.selector, such as app"
        )

    def _no_way_in(self) -> str:
        asked = ", ".join(f"{key}={value}" for key, value in sorted((self.joins or {}).items()))
        return (
            f"the canary's pods of deployment {self.name} cannot join Service {self.stable}, which "
            f"selects by {asked or 'nothing'}: with its labels they would be in the deployment's "
            "own selector, or in another Service. Let the deployment select by one label more than "
            "its Services, for which it has to be made anew"
        )

    def _services_in_the_way(self, ways: Sequence[Mapping[str, str]]) -> str:
        told = " and ".join(
            f"Service {one.name} (selects by {as_text(one.selector)})"
            for one in self.services
            if any(self._would_reach(one, way) and not self._changeable(one, way) for way in ways)
        )
        labels = ", ".join(sorted(set(self.template) - {TARGET_LABEL})) or "none"
        return (
            f"the canary's pods of deployment {self.name} would get traffic from {told}, whatever "
            f"is changed: add to its selector a label of the pod template (it has: {labels}), or "
            "delete the Service"
        )


def _rank(requirement: Requirement) -> tuple[int, int, str]:
    """Order what can be left: a changed value before one that is added or a label taken off."""
    order = (Operator.IN, Operator.NOT_IN, Operator.DOES_NOT_EXIST, Operator.EXISTS)
    return (order.index(requirement.operator), *_preference(requirement.key))


def _preference(key: str) -> tuple[int, str]:
    """Order labels as Flagger looks for them, the others by name."""
    known = SELECTOR_KEYS.index(key) if key in SELECTOR_KEYS else len(SELECTOR_KEYS)
    return known, key


def _changes(template: Mapping[str, str], labels: Mapping[str, str]) -> int:
    keys = {*template, *labels} - {TARGET_LABEL}
    return sum(template.get(key) != labels.get(key) for key in keys)


def _fewest(open_to: Sequence[frozenset[str]]) -> tuple[str, ...]:
    """Return the fewest labels of which each set has one, Flagger's first."""
    keys = sorted({key for one in open_to for key in one}, key=_preference)
    if len(keys) > MOST_TRIED:
        return _pruned(keys, open_to)
    every = (chosen for size in range(len(keys) + 1) for chosen in combinations(keys, size))
    return next(chosen for chosen in every if _meets(chosen, open_to))


def _pruned(keys: Sequence[str], open_to: Sequence[frozenset[str]]) -> tuple[str, ...]:
    kept = tuple(keys)
    for key in reversed(keys):
        fewer = tuple(one for one in kept if one != key)
        kept = fewer if _meets(fewer, open_to) else kept
    return kept


def _meets(chosen: Sequence[str], open_to: Sequence[frozenset[str]]) -> bool:
    return all(not one.isdisjoint(chosen) for one in open_to)
