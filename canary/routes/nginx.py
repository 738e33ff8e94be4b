"""A split behind ingress-nginx: an Ingress of ours beside the team's, with the canary annotations.

The team's Ingress is never written. Ours, its companion, has those of its rules that lead to the
stable Service, and leads to the canary's; the annotations say which of their requests it gets. What
they mean was read in ingress-nginx 1.9 and later (`balancer.lua`, annotations/canary):

- a header's value or pattern, then a cookie that is `always`, then the weight: the first that says
  something decides. So several ways to match are alternatives, and a share of what matches cannot
  be said.
- of a request whose session is kept with the canary by the Ingress's own cookie nothing is asked,
  be the weight 0: `affinity-canary-behavior: legacy` keeps nobody with the canary.
- a value with other characters than these is taken for absent.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from canary.contract import BESIDE, MANAGED_BY, MANAGED_BY_LABEL, SPLIT, TARGET_LABEL
from canary.model.names import canary_name, canary_of, target_label
from canary.model.traffic import NOTHING, Comparison, Condition, Traffic
from canary.model.values import FULL, Json
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of

NGINX: Final = "nginx"
"""Value of `spec.provider`, and name of the class of an Ingress that is found without one."""
PREFIX: Final = "nginx.ingress.kubernetes.io"
"""What the controller's annotations begin with unless its admin says otherwise."""
_DOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_DOMAIN: Final = 253
_CLASS: Final = "kubernetes.io/ingress.class"
_SESSIONS: Final = "affinity-canary-behavior"
_COOKIE: Final = "cookie"
_TRUE: Final = frozenset({"1", "t", "true"})
_TEXT: Final = re.compile(r"[A-Za-z0-9\-._~/:]+")
_CHARACTERS: Final = "ingress-nginx takes letters, digits, -._~/: and the signs of a regex alone"
_PATTERN: Final = re.compile(r"[A-Za-z0-9\-._~/:^$\[\](){}*+?|&=\\]+")
_KEPT_AS_IS: Final = ("ingressClassName", "tls")
_COPIED: Final = (*_KEPT_AS_IS, "defaultBackend", "rules")
Place = tuple[str, str]
"""Host and path."""


def parse_prefix(text: str) -> str:
    """Read what the controller's annotations begin with.

    Raises:
        ValueError: no name of an annotation can begin so.

    """
    if not _DOMAIN.fullmatch(text) or len(text) > _LONGEST_DOMAIN:
        raise ValueError(f"write a domain, such as {PREFIX}")
    return text


def companion_name(ingress: str, target: str) -> str:
    """Return the name of the companion of an Ingress for a target.

    Several targets may be behind one Ingress, each with its own. Where both names are the same it
    is `<ingress>-canary`, as with Flagger.

    Args:
        ingress: the team's.
        target: the Deployment.

    """
    return canary_name(ingress if ingress == target else f"{ingress}-{target}")


def beside(obj: Json) -> str:
    """Return the name of the Ingress whose companion an object is, "" where it is none of ours.

    A copy under another name brings labels, owner and annotations along, and is a team's own.
    """
    ingress = _notes(obj).get(BESIDE, "")
    target = canary_of(obj)
    is_named = target and obj["metadata"]["name"] == companion_name(ingress, target)
    return ingress if is_named else ""


def leads_to(ingress: Json, service: str) -> bool:
    """Tell whether an Ingress sends requests to a Service of its namespace."""
    return any(_service(backend) == service for _, backend in _backends(ingress))


def never_carried(traffic: Traffic) -> str:
    """Say why no companion can give a canary this traffic, and how to mend it; "" where one can.

    Args:
        traffic: what it is to get.

    """
    if traffic.affinity is not None:
        return (
            "analysis.sessionAffinity: ingress-nginx keeps users with a pod, and not with a "
            "version; remove it"
        )
    if traffic.mirror:
        return "analysis.mirror: ingress-nginx copies no requests to a canary; remove it"
    if not traffic.match:
        return ""
    if traffic.weight not in {0, FULL}:
        return (
            "analysis.match: ingress-nginx gives a canary all that matches, and no share of it; "
            "use iterations, or remove match"
        )
    return _unmatched(traffic)


def _unmatched(traffic: Traffic) -> str:
    """Say which of the ways to match cannot be said."""
    if any(one.params for one in traffic.match):
        return "analysis.match: ingress-nginx matches no queryParams; match a header or a cookie"
    if any(len(one.headers) != 1 for one in traffic.match):
        return (
            "analysis.match: ingress-nginx asks for one header at a time; give each entry of match "
            "one header"
        )
    found = [condition for one in traffic.match for condition in one.headers]
    cookies = [one for one in found if _is_cookie(one)]
    headers = [one for one in found if not _is_cookie(one)]
    if len(cookies) > 1 or len(headers) > 1:
        return (
            "analysis.match: ingress-nginx tests one header and one cookie at most; leave one of "
            "each"
        )
    return next((why for one in found if (why := _unwritable(one))), "")


def _unwritable(condition: Condition) -> str:
    """Say why a condition cannot stand in an annotation."""
    name, where = condition.name, f"analysis.match: header {condition.name}"
    if _is_cookie(condition):
        if condition.by is not Comparison.EXACT:
            return f"{where}: write a cookie's name as `exact`; its value is `always`"
        return "" if _TEXT.fullmatch(condition.value) else f"{where}: {_CHARACTERS}"
    if condition.by not in {Comparison.EXACT, Comparison.REGEX}:
        return f"{where}: ingress-nginx knows no {condition.by}; use exact or regex"
    allowed = _TEXT if condition.by is Comparison.EXACT else _PATTERN
    if not _TEXT.fullmatch(name) or not allowed.fullmatch(condition.value):
        return f"{where}: {_CHARACTERS}"
    return ""


@dataclass(frozen=True, slots=True)
class Companions:
    """What is written and read of companions.

    Args:
        prefix: what the controller's annotations begin with.

    """

    prefix: str = PREFIX

    def is_found(self, ingress: Json, service: str) -> bool:
        """Tell whether an Ingress that nobody has named is split: by its class and its rules."""
        named = ingress["spec"].get("ingressClassName") or _notes(ingress).get(_CLASS)
        return named == NGINX and not self.is_canary(ingress) and leads_to(ingress, service)

    def is_canary(self, ingress: Json) -> bool:
        """Tell whether an Ingress is one that stands beside another, whoever has made it."""
        return _notes(ingress).get(self._name("canary"), "").lower() in _TRUE

    def companion(self, ingress: Json, target: str, split: TargetSplit, owner: Json) -> Json:
        """Return the companion of an Ingress.

        Args:
            ingress: the team's, as it is stored.
            target: name of the Deployment.
            split: what its canary is to get; something that can be said.
            owner: reference to the Deployment.

        """
        metadata = ingress["metadata"]
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": companion_name(metadata["name"], target),
                "namespace": metadata["namespace"],
                "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: target_label(target)},
                "annotations": {
                    **self._class_of(ingress),
                    **self._said(split.traffic),
                    BESIDE: metadata["name"],
                    SPLIT: Mark(splits={target: split}).dump(),
                },
                "ownerReferences": [owner],
            },
            "spec": _leading(ingress["spec"], split),
        }

    def mended(self, companion: Json, wanted: Json) -> Json:
        """Return the merge patch that makes of a companion what is wanted, whoever has edited it.

        Args:
            companion: as it is stored.
            wanted: what it is to be.

        """
        notes: Json = dict.fromkeys(self._deciding(companion))
        metadata, spec = wanted["metadata"], wanted["spec"]
        return {
            "metadata": {
                "annotations": {**notes, **metadata["annotations"]},
                "ownerReferences": metadata["ownerReferences"],
            },
            "spec": {field: spec.get(field) for field in _compared(spec)},
        }

    def carried(self, companion: Json, target: str) -> Traffic:
        """Return what the canary gets by a companion, read from the annotations that decide it.

        Args:
            companion: as it is stored.
            target: name of the Deployment.

        """
        if self._is_as_marked(companion, target):
            return self._asked(companion, target)
        notes = _notes(companion)
        tested = {self._name("canary-by-header"), self._name("canary-by-cookie")} & notes.keys()
        weight = notes.get(self._name("canary-weight"), "")
        share = int(weight) if weight.isascii() and weight.isdigit() else 0
        return Traffic(FULL if tested or not self.is_canary(companion) else min(FULL, share))

    def _asked(self, companion: Json, target: str) -> Traffic:
        split = (mark_of(companion) or NO_MARK).splits.get(target)
        return NOTHING if split is None else split.traffic

    def _is_as_marked(self, companion: Json, target: str) -> bool:
        """Tell whether nobody has edited the annotations that decide what it gets."""
        return self._deciding(companion) == self._said(self._asked(companion, target))

    def _deciding(self, companion: Json) -> dict[str, str]:
        """Return the annotations that decide what a companion gets."""
        decide = (self._name("canary"), self._name(_SESSIONS))
        return {name: it for name, it in _notes(companion).items() if name.startswith(decide)}

    def follows(self, companion: Json, wanted: Json, target: str) -> bool:
        """Tell whether a companion is as it was written, and as its Ingress asks for now.

        Args:
            companion: as it is stored.
            wanted: what it would be now, whatever that carries.
            target: name of the Deployment.

        """
        there, spec = companion["spec"], wanted["spec"]
        same = all(there.get(field) == spec.get(field) for field in _compared(spec))
        is_of_class = self._class_of(companion) == self._class_of(wanted)
        return same and is_of_class and self._is_as_marked(companion, target)

    def others(self, ingress: Json, service: str, found: Iterable[Json]) -> list[str]:
        """Return the names of other canaries of the same rules: the controller takes one alone.

        Args:
            ingress: the team's.
            service: the stable's.
            found: all of its namespace but for its companions.

        """
        places = {place for place, it in _backends(ingress) if _service(it) == service}
        return sorted(
            str(one["metadata"]["name"])
            for one in found
            if self.is_canary(one) and any(place in places for place, _ in _backends(one))
        )

    def _said(self, traffic: Traffic) -> dict[str, str]:
        """Return the annotations that give a canary this traffic."""
        weight = 0 if traffic.match else traffic.weight
        said = {"canary": "true", "canary-weight": str(weight), _SESSIONS: "legacy"}
        for one in traffic.match if traffic.weight else ():
            for condition in one.headers:
                said |= _test(condition)
        return {self._name(name): value for name, value in said.items()}

    def _name(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _class_of(self, ingress: Json) -> dict[str, str]:
        """Return the class where an annotation says it; the API takes no object with both."""
        named = _notes(ingress).get(_CLASS)
        return {} if named is None or "ingressClassName" in ingress["spec"] else {_CLASS: named}


def _test(condition: Condition) -> dict[str, str]:
    """Return the annotations of a condition. A pattern is looked for anywhere in a value."""
    if _is_cookie(condition):
        return {"canary-by-cookie": condition.value}
    said = {"canary-by-header": condition.name}
    if condition.by is Comparison.EXACT:
        return {**said, "canary-by-header-value": condition.value}
    return {**said, "canary-by-header-pattern": f"^(?:{condition.value})$"}


def _is_cookie(condition: Condition) -> bool:
    """Tell whether a condition is one on a cookie: Flagger has its name as the header's value."""
    return condition.name.lower() == _COOKIE


def _compared(spec: Json) -> tuple[str, ...]:
    """Return which fields a companion is to have as wanted.

    Not its class where none is said: the API server may have given it the usual one.
    """
    return _COPIED if "ingressClassName" in spec else _COPIED[1:]


def _leading(spec: Json, split: TargetSplit) -> Json:
    """Return of a spec what leads to the stable, leading to the canary."""
    out: Json = {field: spec[field] for field in _KEPT_AS_IS if field in spec}
    if _service(spec.get("defaultBackend") or {}) == split.stable:
        out["defaultBackend"] = _renamed(spec["defaultBackend"], split.canary)
    rules = []
    for rule in spec.get("rules") or ():
        paths = [
            {**path, "backend": _renamed(path["backend"], split.canary)}
            for path in (rule.get("http") or {}).get("paths") or ()
            if _service(path["backend"]) == split.stable
        ]
        if paths:
            rules.append({**rule, "http": {**rule["http"], "paths": paths}})
    return {**out, "rules": rules} if rules else out


def _renamed(backend: Json, service: str) -> Json:
    return {**backend, "service": {**backend["service"], "name": service}}


def _backends(ingress: Json) -> Iterator[tuple[Place, Json]]:
    """Yield all backends of an Ingress with where they are; the one of all the rest is nowhere."""
    spec = ingress["spec"]
    if spec.get("defaultBackend"):
        yield ("", ""), spec["defaultBackend"]
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield (str(rule.get("host", "")), str(path.get("path", "/"))), path["backend"]


def _service(backend: Json) -> str:
    return str((backend.get("service") or {}).get("name", ""))


def _notes(obj: Json) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})
