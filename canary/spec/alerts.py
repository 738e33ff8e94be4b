"""Who wants to hear of a Canary's runs: `analysis.alerts`."""

import re
from typing import Final

from canary.model.announcement import Alert, Severity
from canary.model.values import Json

_REFERENCE: Final = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")


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


def heard_by(canary: Json, usual: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """Return who hears of a Canary's runs: its own alerts, or the admin's where it has none.

    Args:
        canary: the object as the API server stores it.
        usual: the admin's.

    """
    return alerts_of(canary) or usual


def admins_alerts(provider: str, severity: Severity) -> tuple[Alert, ...]:
    """Return the admin's alerts.

    Args:
        provider: namespace and name of an AlertProvider, with a slash between them; "" for none.
        severity: what it hears.

    """
    if not provider:
        return ()
    namespace, _, name = provider.partition("/")
    found = Alert(name=provider, severity=severity, namespace=namespace, provider=name, admins=True)
    return (found,)


def parse_provider(text: str) -> str:
    """Read namespace and name of an AlertProvider, or nothing.

    Raises:
        ValueError: it is neither.

    """
    text = text.strip()
    if text and not _REFERENCE.fullmatch(text):
        raise ValueError("write namespace and name of an AlertProvider, as in headgate-system/chat")
    return text


def _severity(entry: Json) -> Severity:
    """Read what an alert wants to hear; of a word that the API server does not take, all."""
    said = entry.get("severity") or ""
    return Severity(said) if said in set(Severity) else Severity.INFO
