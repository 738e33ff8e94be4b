"""Label selectors as values, and what they select by Kubernetes' own rules.

The same words mean different things in different kinds: an empty selector of a NetworkPolicy
selects every pod, an empty one of a Service none. Each kind has its reader here, so that nobody
else has to know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from canary.model.values import Json


class Operator(StrEnum):
    """What a requirement says of a label, in the words of `matchExpressions`."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One condition on one label. `values` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet it. NotIn is met by labels that lack the key."""
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects what meets all requirements, and so everything where there are none."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The labels it speaks of."""
        return frozenset(one.key for one in self.requirements)

    @property
    def worn(self) -> frozenset[str]:
        """The labels that everything it selects has."""
        asks = (Operator.IN, Operator.EXISTS)
        return frozenset(one.key for one in self.requirements if one.operator in asks)

    @property
    def anchor(self) -> tuple[str, str] | None:
        """A label, with its value, that everything it selects has; None where there is none."""
        single = (it for it in self.requirements if it.operator is Operator.IN)
        found = (it for it in single if len(it.values) == 1)
        return next(((it.key, next(iter(it.values))) for it in found), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectsNothing:
    """A selector that is not there, and by the rules of its kind selects no object."""


Selection = Selector | SelectsNothing
NOTHING: Final = SelectsNothing()
_PARTS: Final = re.compile(r",(?![^(]*\))")
"""Commas, but for those between the values of a set."""
_KEY: Final = r"(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)"
_VALUE: Final = r"(?P<values>[A-Za-z0-9._-]*)"
_VALUES: Final = r"\((?P<values>[A-Za-z0-9._, -]+)\)"
_FORMS: Final = (
    (re.compile(_KEY), Operator.EXISTS),
    (re.compile(rf"!\s*{_KEY}"), Operator.DOES_NOT_EXIST),
    (re.compile(rf"{_KEY}\s*==?\s*{_VALUE}"), Operator.IN),
    (re.compile(rf"{_KEY}\s*!=\s*{_VALUE}"), Operator.NOT_IN),
    (re.compile(rf"{_KEY}\s+in\s+{_VALUES}"), Operator.IN),
    (re.compile(rf"{_KEY}\s+notin\s+{_VALUES}"), Operator.NOT_IN),
)
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""The label by which every namespace carries its own name."""


def selects(selection: Selection, labels: Mapping[str, str]) -> bool:
    """Tell whether an object with these labels is selected."""
    match selection:
        case Selector():
            return all(one.accepts(labels) for one in selection.requirements)
        case SelectsNothing():
            return False


def equal_to(labels: Mapping[str, str]) -> Selector:
    """Return the selector that asks for exactly these values."""
    return Selector(requirements=tuple(_equals(key, labels[key]) for key in sorted(labels)))


def label_selector(found: Json | None) -> Selection:
    """Read a `LabelSelector` where its absence selects nothing, as in an affinity term.

    Args:
        found: the object; None where the field is absent or null.

    Raises:
        ValueError: an operator that Kubernetes does not know.

    """
    if found is None:
        return NOTHING
    equal = equal_to(found.get("matchLabels") or {})
    expressions = tuple(requirement(one) for one in found.get("matchExpressions") or ())
    return Selector(requirements=(*equal.requirements, *expressions))


def requirement(expression: Json) -> Requirement:
    """Read one entry of `matchExpressions`.

    Raises:
        ValueError: an operator that Kubernetes does not know.

    """
    return Requirement(
        key=expression["key"],
        operator=Operator(expression["operator"]),
        values=frozenset(expression.get("values") or ()),
    )


def workload_selector(workload: Json) -> Selection:
    """Return which pods are a Deployment's or ReplicaSet's."""
    return label_selector(workload["spec"].get("selector"))


def service_selector(service: Json) -> Selection:
    """Return which pods a Service sends traffic to.

    Without a selector somebody else keeps its endpoints, and an ExternalName is only a name: both
    select nothing. A headless Service selects as any other does.
    """
    spec = service["spec"]
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return NOTHING
    return equal_to(spec["selector"])


def selects_namespace(found: Json | None, namespace: str) -> bool:
    """Tell whether a `namespaceSelector` selects a namespace, as far as that shows by its name."""
    return selects(label_selector(found), {NAMESPACE_NAME: namespace})


def network_policy_selector(policy: Json) -> Selection:
    """Return which pods a NetworkPolicy is about; without a selector, all of its namespace."""
    return label_selector(policy["spec"].get("podSelector") or {})


def disruption_budget_selector(budget: Json) -> Selection:
    """Return which pods a PodDisruptionBudget (policy/v1) protects; without a selector, none."""
    return label_selector(budget["spec"].get("selector"))


def as_text(selector: Selector) -> str:
    """Write a selector as the API server takes it in `labelSelector`: empty for everything."""
    written = {_written(one) for one in selector.requirements}
    return ",".join(sorted(written))


def selector_of(text: str) -> Selector | None:
    """Read what `as_text` writes, and `kubectl -l` takes; None where it is written otherwise."""
    parts = _PARTS.split(text) if text else []
    found = [_read(part.strip()) for part in parts]
    read = tuple(one for one in found if one is not None)
    return Selector(requirements=read) if len(read) == len(found) else None


def _read(part: str) -> Requirement | None:
    for pattern, operator in _FORMS:
        if (found := pattern.fullmatch(part)) is not None:
            key, values = found["key"], found.groupdict().get("values")
            given = frozenset() if values is None else frozenset(map(str.strip, values.split(",")))
            return Requirement(key=key, operator=operator, values=given)
    return None


def _equals(key: str, value: str) -> Requirement:
    return Requirement(key=key, operator=Operator.IN, values=frozenset({value}))


def _written(one: Requirement) -> str:
    match one.operator:
        case Operator.EXISTS:
            return one.key
        case Operator.DOES_NOT_EXIST:
            return f"!{one.key}"
        case Operator.IN:
            return _listed(one, single="=", several="in")
        case Operator.NOT_IN:
            return _listed(one, single="!=", several="notin")


def _listed(one: Requirement, *, single: str, several: str) -> str:
    # A list of one empty value cannot be written: the API server takes "()" for no value at all.
    values = sorted(one.values)
    if len(values) == 1:
        return f"{one.key}{single}{values[0]}"
    return f"{one.key} {several} ({','.join(values)})"


def listed_by(workload: Json) -> str:
    """Return what a Deployment's or ReplicaSet's pods are listed by, as `labelSelector` takes it.

    Raises:
        ValueError: it has no selector, which the API server does not let in.

    """
    selection = workload_selector(workload)
    if not isinstance(selection, Selector):
        raise ValueError(f"{workload['metadata']['name']} has no selector")  # noqa: TRY004 - no type
    return as_text(selection)
