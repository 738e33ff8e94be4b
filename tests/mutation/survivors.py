"""Changes that no unit test notices, each with its reason: a kind, or a single one by name.

A kind holds for every change of that form, wherever it is, and so only for forms that cannot make
a difference. Whatever rests on where it stands is named, with the function and both lines.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one change did: in which function, which lines went and which came."""

    where: str
    removed: str
    added: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a change may stay unnoticed; `equivalent` if nobody could ever tell the two apart."""

    text: str
    equivalent: bool = True


def change_of(name: str, shown: str) -> Change:
    """Read what `mutmut show` prints of a change.

    Args:
        name: the change's.
        shown: a unified difference, after a line that says what came of it.

    """
    lines = [line for line in shown.splitlines() if line[:3] not in {"---", "+++"}]
    removed, added = (
        "\n".join(line[1:].strip() for line in lines if line[:1] == sign) for sign in "-+"
    )
    return Change(where=name.partition("__mutmut_")[0], removed=removed, added=added)


def reason_of(change: Change) -> Reason | None:
    """Return why a change may stay unnoticed, None where nobody has said so."""
    for found in NAMED:
        if _same(found, change):
            return found.reason
    return next((reason for applies, reason in KINDS if applies(change)), None)


# --- kinds --------------------------------------------------------------------------------------

_BEGINNING: Final = re.compile(
    r'(?P<before>str\([\w\[\]".]+\.get\("\w+", )""(?P<after>\)\)\.startswith\(.*)', re.DOTALL
)
"""A text that is looked for at the beginning of a field, which may be absent."""


def absent_field_that_begins_with_nothing(change: Change) -> bool:
    """Tell whether another text stands for an absent field of which only the beginning counts.

    Neither `None` nor `XXXX` begins with any text that is looked for.
    """
    found = _BEGINNING.search(change.removed)
    if found is None:
        return False
    head = change.removed[: found.start()]
    others = ("None", '"XXXX"', "")
    return change.added in {f"{head}{found['before']}{it}{found['after']}" for it in others}


_AT_LOAD: Final = frozenset({"canary.objects.copied.x__left_out"})


def called_while_loading(change: Change) -> bool:
    """Tell whether a function is called only where its module is loaded.

    That is before the change is made, which therefore is never tried.
    """
    return change.where in _AT_LOAD


KINDS: Final[tuple[tuple[Callable[[Change], bool], Reason], ...]] = (
    (
        absent_field_that_begins_with_nothing,
        Reason(text="no text that is looked for begins like what stands for an absent field"),
    ),
    (
        called_while_loading,
        Reason(text="not tried: its module has called it before; the documents' test reads it all"),
    ),
)


# --- single ones --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A single change; of its lines only the part is given that tells it from others."""

    where: str
    removed: str
    added: str
    reason: Reason


def _same(named: Named, change: Change) -> bool:
    return (
        named.where == change.where
        and named.removed in change.removed
        and named.added in change.added
        and change.removed.replace(named.removed, named.added, 1) == change.added
    )


def _named(where: str, removed: str, added: str, text: str, *, equivalent: bool = True) -> Named:
    return Named(
        where=f"canary.{where}",
        removed=removed,
        added=added,
        reason=Reason(text=text, equivalent=equivalent),
    )


_NO_HASH: Final = "no template's hash is empty, nor XXXX"

NAMED: Final[tuple[Named, ...]] = (
    # --- admission ---
    _named("admission.creations.x__said", 'get(REFUSED, "")', 'get(REFUSED, "XXXX")', _NO_HASH),
    _named(
        "admission.facts.x_read_write",
        "if touched else",
        "if (touched) or True else",
        "what is not touched has the hash that it had: it is only not computed again",
    ),
    _named(
        "admission.routes.x_admit_route",
        "if write.by_analyzer else",
        "if (write.by_analyzer) or True else",
        "what others write carries the mark that stands, of which the same is made",
    ),
    # --- routes ---
    _named(
        "routes.elsewhere.x_led_abroad",
        'get("namespace", "")',
        'get("namespace", "XXXX")',
        "what is stored of a kind with namespaces has one",
    ),
    _named(
        "routes.istio.xǁVirtualServicesǁput",
        ", key=itemgetter(0)",
        ", ",
        "names are told apart by themselves: no two are the same",
    ),
    _named(
        "routes.traffic_text.x__text",
        'TypeError("no text")',
        "TypeError(None)",
        "it is caught where a mark is read, and its words are read by nobody",
    ),
    _named(
        "routes.elsewhere.x__means",
        'else "")',
        'else "XXXX")',
        "XXXX is no name of a host: capitals are none",
    ),
    _named(
        "routes.gateway_api.x__scale",
        "max(1, max(",
        "max(2, max(",
        "a million and half a million are both above the largest scale",
    ),
    _named(
        "routes.gateway_api.x__scale",
        "default=0",
        "default=None",
        "a rule that is shared has a backend, and so a weight",
    ),
    _named(
        "routes.nginx.xǁCompanionsǁcarried",
        'get(self._name("canary-weight"), "")',
        'get(self._name("canary-weight"), "XXXX")',
        "neither of both is a number",
    ),
    # --- rules ---
    _named(
        "rules.analysis.x__undo_first",
        "ctx.timing.poll",
        "None",
        "what parks has every undo looked at again as soon",
    ),
    _named(
        "rules.held.x_promotion_not_released",
        "() if said else",
        "() if (said) and False else",
        "who waits with what is said already stores nothing",
    ),
    _named(
        "rules.pods.x__text",
        'case _:\nreturn ""',
        "",
        "without an answer there is None, which is as little to say",
    ),
    # --- spec ---
    *(
        _named(
            "spec.defaults.x__metrics",
            '"interval": "1m"',
            other,
            "a metric that names no interval is read over a minute",
        )
        for other in ('"XXintervalXX": "1m"', '"INTERVAL": "1m"')
    ),
    *(
        _named(
            "spec.made.x_former_defaults",
            f'read("", parsers.{parser}',
            f"read({other}parsers.{parser}",
            "what cannot be read there is said to nobody",
        )
        for parser in ("duration", "weights")
        for other in ('"XXXX", ', "None, ")
    ),
    _named(
        "spec.alerts.x_alerts_of",
        'get("namespace", "")',
        'get("namespace", )',
        "what is stored of a kind with namespaces has one",
    ),
    _named(
        "spec.alerts.x__severity",
        'get("severity") or ""',
        'get("severity") or "XXXX"',
        "neither of both is a severity",
    ),
    # --- objects ---
    _named(
        "objects.fates.x_of_newest_template",
        'default=""',
        'default="XXXX"',
        "without pods there is none that it would be compared with",
    ),
    _named(
        "objects.parking.x__starts",
        '"readyReplicas", 0',
        '"readyReplicas", None',
        "it is asked whether there are any",
    ),
    _named(
        "objects.fates.x__template_of",
        '"pod-template-hash", ""',
        '"pod-template-hash", ',
        "pods without the label are of one template, whatever stands for it",
    ),
    _named(
        "objects.parking.x__note",
        'get(PARKED_FROM, "")',
        'get(PARKED_FROM, "XXXX")',
        "neither is JSON",
    ),
    _named(
        "objects.parking.x_number_of",
        'get(_REVISION, "")',
        'get(_REVISION, "XXXX")',
        "neither is a number",
    ),
    _named(
        "objects.flaggers.x__only_in",
        '"".join(',
        '"XXXX".join(',
        "one word at most is joined",
    ),
    *(
        _named(
            "objects.desired.x__asked_by_value",
            'get("metadata", {})',
            other,
            "a template without metadata meets no selector: the API server has none",
        )
        for other in ('get("metadata", None)', 'get("metadata", )')
    ),
    *(
        _named(f"objects.{where}", "first=False", "first=None", "it is asked whether, no more")
        for where in ("fates.x__broke", "fates.x__started", "workloads.x__crash")
    ),
    _named(
        "objects.placement.x_followed",
        "or selects(asked, labels.pods)",
        "or selects(None, labels.pods)",
        "one that selects the canary's pods already is followed to itself",
    ),
)
