"""Who wants to hear of a Canary's runs: `analysis.alerts`."""

from canary.model.announcement import Alert, Severity
from canary.model.values import Json


def alerts_of(canary: Json) -> tuple[Alert, ...]:
    """Read who wants to hear of runs; without a severity that is everything, as documented.

    Args:
        canary: the object as the API server stores it, whatever else may be wrong with it.

    """
    namespace = canary["metadata"].get("namespace", "")
    analysis = canary["spec"].get("analysis") or {}
    return tuple(
        Alert(
            name=entry["name"],
            severity=_severity(entry),
            namespace=entry["providerRef"].get("namespace") or namespace,
            provider=entry["providerRef"]["name"],
        )
        for entry in analysis.get("alerts") or ()
        if entry.get("providerRef")
    )


def _severity(entry: Json) -> Severity:
    """Read what an alert wants to hear; of a word that the API server does not take, all."""
    said = entry.get("severity") or ""
    return Severity(said) if said in set(Severity) else Severity.INFO
