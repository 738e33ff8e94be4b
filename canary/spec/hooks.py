"""Hooks: `analysis.webhooks`, and the admin's one for what is said of runs."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from canary.model.strategy import Hook, HookType
from canary.model.values import Json
from canary.spec import parsers
from canary.spec.problems import Problems

EVENT_WEBHOOK: Final = "HEADGATE_EVENT_WEBHOOK"
"""What the admin's event hook is called, after the variable that names it."""
_RETRIES: Final = 3
_TIMEOUT: Final = timedelta(seconds=10)


def hooks_of(analysis: Json, problems: Problems) -> tuple[Hook, ...]:
    """Read the hooks of a run.

    Args:
        analysis: `spec.analysis`, completed by the defaults.
        problems: where mistakes are noted.

    """
    entries = analysis.get("webhooks") or ()
    problems.found += _given_twice(entries)
    problems.found += [
        f"webhook {entry['name']}: type {entry['type']} is not known; known: {', '.join(HookType)}"
        for entry in entries
        if entry.get("type") and entry["type"] not in set(HookType)
    ]
    return tuple(
        _hook(entry, problems)
        for entry in entries
        if (entry.get("type") or HookType.ROLLOUT) in set(HookType)
    )


def listeners_of(canary: Json, usual: str) -> tuple[Hook, ...]:
    """Return the event hooks of a Canary: its own, or the admin's where it has none.

    Args:
        canary: the object as the API server stores it, whatever else may be wrong with it.
        usual: URL of the admin's, "" for none.

    """
    entries = (canary["spec"].get("analysis") or {}).get("webhooks") or ()
    own = tuple(
        # What is wrong with one is said where the Canary is read; what is usual stands in here.
        _hook(entry, Problems())
        for entry in entries
        if entry.get("type") == HookType.EVENT
    )
    if own or not usual:
        return own
    hook = Hook(name=EVENT_WEBHOOK, type=HookType.EVENT, url=usual, retries=_RETRIES, admins=True)
    return (hook,)


def parse_webhook(text: str) -> str:
    """Read the URL of a hook, or nothing.

    Raises:
        ValueError: it is neither. What was given is not repeated, as it may be a password.

    """
    text = text.strip()
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("write the URL of a hook, as in http://events.ops:8080/headgate")
    return text


def _given_twice(entries: Iterable[Json]) -> list[str]:
    """Answers are kept by the hook's name, so two of one name could not be told apart."""
    times = Counter(entry["name"] for entry in entries)
    return [
        f"webhook {name}: {count} hooks have this name; give each a name of its own"
        for name, count in times.items()
        if count > 1
    ]


def _hook(entry: Json, problems: Problems) -> Hook:
    where = f"webhook {entry['name']}"
    patience, again = entry.get("timeout"), entry.get("retries")
    return Hook(
        name=entry["name"],
        type=HookType(entry.get("type") or HookType.ROLLOUT),
        url=entry["url"],
        timeout=problems.read(f"{where} timeout", parsers.timeout, patience, _TIMEOUT),
        retries=problems.read(f"{where} retries", parsers.retries, again, 0),
        verify_tls=not entry.get("disableTLS"),
        metadata=entry.get("metadata") or {},
        muted=bool(entry.get("muteAlert")),
    )
