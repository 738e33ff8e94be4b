"""Rules of placement in a pod template that speak of the target's own pods.

A rule that spreads a target's pods from each other is to spread the canary's from each other. It
follows the labels that the canary's pods wear instead; a rule about other apps stays as it is, and
so do `matchLabelKeys` and `mismatchLabelKeys`, which take their values from the pod itself.
"""

from collections.abc import Iterator

from canary.contract import TARGET_LABEL
from canary.model.canary_labels import CanaryLabels
from canary.model.selection import Operator, label_selector, requirement, selects, selects_namespace
from canary.model.values import Json


def follow(pod: Json, labels: CanaryLabels, namespace: str) -> None:
    """Let a pod's rules about the target's own pods speak of the canary's.

    Args:
        pod: `spec` of the pod template; changed in place.
        labels: the target's and the canary's.
        namespace: of both; a rule about other namespaces stays.

    """
    for rule in _rules(pod, namespace):
        if rule.get("labelSelector") is not None:
            rule["labelSelector"] = followed(rule["labelSelector"], labels)


def followed(selector: Json, labels: CanaryLabels) -> Json:
    """Return a selector that selects the canary's pods if it selects the target's.

    Args:
        selector: `labelSelector` of a rule. It is returned as it is where it speaks of others, or
            selects the canary's pods already.
        labels: the target's and the canary's.

    """
    asked = label_selector(selector)
    if not selects(asked, labels.template) or selects(asked, labels.pods):
        return selector
    equal = {
        key: labels.pods[key] for key in selector.get("matchLabels") or {} if key in labels.pods
    }
    gone = len(equal) < len(selector.get("matchLabels") or {})
    expressions = [_moved(one, labels) for one in selector.get("matchExpressions") or ()]
    kept = [one for one in expressions if one is not None]
    if gone or len(kept) < len(expressions):
        equal[TARGET_LABEL] = labels.pods[TARGET_LABEL]
    made = {"matchLabels": equal, "matchExpressions": kept}
    others = {key: value for key, value in selector.items() if key not in made}
    return {**others, **{key: value for key, value in made.items() if value}}


def _moved(expression: Json, labels: CanaryLabels) -> Json | None:
    """Return an expression that the canary's pods meet; None where none of its kind can be."""
    asked = requirement(expression)
    if asked.accepts(labels.pods):
        return expression
    if asked.operator is not Operator.IN or asked.key not in labels.pods:
        return None
    own, canarys = labels.template[asked.key], labels.pods[asked.key]
    values = [canarys if value == own else value for value in expression["values"]]
    return {**expression, "values": values}


def _rules(pod: Json, namespace: str) -> Iterator[Json]:
    yield from pod.get("topologySpreadConstraints") or ()
    affinity = pod.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        for term in (*required, *(one["podAffinityTerm"] for one in preferred)):
            if _is_about(term, namespace):
                yield term


def _is_about(term: Json, namespace: str) -> bool:
    """Tell whether a term is about pods of this namespace: its own, unless others are named."""
    named, chosen = term.get("namespaces") or (), term.get("namespaceSelector")
    if not named and chosen is None:
        return True
    return namespace in named or selects_namespace(chosen, namespace)
