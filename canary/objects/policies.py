"""Policies of a namespace that are about the target's pods and would not be about the canary's.

The canary's pods wear other labels, so that a NetworkPolicy that lets the target reach its database
does not let the canary, and a PodDisruptionBudget does not keep it. Nothing of this is mended by
Headgate: rights and budgets are the team's. It is said, so that a refusal is not a riddle.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from canary.model.canary_labels import CanaryLabels
from canary.model.selection import (
    Selection,
    disruption_budget_selector,
    label_selector,
    network_policy_selector,
    selects,
    selects_namespace,
)
from canary.model.values import Json


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LeftBehind:
    """A policy that is about the target's pods and not about the canary's."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Write it as messages name an object."""
        return f"{self.kind} {self.name}"


def left_behind(
    labels: CanaryLabels, *, network_policies: Iterable[Json], disruption_budgets: Iterable[Json]
) -> tuple[LeftBehind, ...]:
    """Return the policies that the canary's pods fall out of, by kind and name.

    Args:
        labels: what tells the canary from the target.
        network_policies: all of the namespace (networking.k8s.io/v1).
        disruption_budgets: all of the namespace (policy/v1).

    """
    network = (
        LeftBehind(kind="NetworkPolicy", name=policy["metadata"]["name"])
        for policy in network_policies
        if any(_falls_out(labels, selection) for selection in _spoken_of(policy))
    )
    budgets = (
        LeftBehind(kind="PodDisruptionBudget", name=budget["metadata"]["name"])
        for budget in disruption_budgets
        if _falls_out(labels, disruption_budget_selector(budget))
    )
    return tuple(sorted({*network, *budgets}))


def message(found: tuple[LeftBehind, ...], labels: CanaryLabels) -> str:
    """Return what an event says: which policies, and how to have them speak of the canary too."""
    told = ", ".join(str(one) for one in found)
    changed = ", ".join(
        f"{key}={value}"
        for key, value in sorted(labels.pods.items())
        if labels.template.get(key) != value
    )
    return (
        f"{told}: about the target's pods and not about the canary's, which differ by {changed}; "
        "select by a label that both have, or add policies of the canary's own"
    )


def _spoken_of(policy: Json) -> Iterator[Selection]:
    """Yield whom a NetworkPolicy is for, and whom of its namespace it lets in or reach."""
    spec, namespace = policy["spec"], policy["metadata"]["namespace"]
    yield network_policy_selector(policy)
    ways = [
        *((one, "from") for one in spec.get("ingress") or ()),
        *((one, "to") for one in spec.get("egress") or ()),
    ]
    for rule, direction in ways:
        for peer in rule.get(direction) or ():
            chosen = peer.get("namespaceSelector")
            if chosen is None or selects_namespace(chosen, namespace):
                yield label_selector(peer.get("podSelector"))


def _falls_out(labels: CanaryLabels, selection: Selection) -> bool:
    return selects(selection, labels.template) and not selects(selection, labels.pods)
