"""The informers of the daemon, and how little of what teams write each of them keeps.

Whoever may write objects decides how many there are and how large they are. What is kept is packed
and bounded; what is not kept is known by its name, and read where it is needed.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import orjson

from analyzer.loop.index import ClusterIndex, with_owners_of_made
from canary.contract import AUTO_LABEL, DOMAIN, NAMESPACE_LABEL, SPLIT
from canary.model.values import Json, Key
from canary.objects.workloads import annotations
from canary.routes.elsewhere import led_abroad
from canary.routes.known import dialect_of
from canary.spec.made import is_ours
from runtime.informer import Informer, ListWatch
from runtime.kept import Packed
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES, Resource

_MIB: Final = 2**20
TARGETS_TOTAL: Final = 32 * _MIB
"""Bytes of all Deployments that are kept whole: some 20,000 usual ones."""
CANARIES_TOTAL: Final = 24 * _MIB
"""Bytes of all Canaries of which more than their target is kept."""
ROUTES_TOTAL: Final = 8 * _MIB
"""Bytes of the marks on all routes of one kind."""
_LARGEST_STATUS: Final = 32 * 1024
_LONGEST_NAME: Final = 253
_TIMES: Final = ("creationTimestamp", "deletionTimestamp")
"""By these one of two Canaries of a target comes before the other."""
_NAMES: Final = ("kind", "name")
_MARKS: Final = f"{DOMAIN}/"


def follow(cluster: ListWatch, routes: Iterable[Resource]) -> ClusterIndex:
    """Return what follows the cluster, once its informers are run.

    Args:
        cluster: the API server.
        routes: the kinds of routes.

    """

    def wanted(target: Json) -> bool:
        return index.concerns(key_of(target)) or is_marked(target)

    index = ClusterIndex(
        namespaces=Informer(cluster, NAMESPACES, trim=label_of_namespace),
        targets=Informer(cluster, DEPLOYMENTS, kept=Packed(TARGETS_TOTAL, whole=wanted)),
        canaries=Informer(
            cluster,
            CANARIES,
            trim=with_owners_of_made,
            kept=Packed(CANARIES_TOTAL, less=essence_of_canary, least=least_of_canary),
        ),
        routes=tuple(
            Informer(
                cluster,
                resource,
                trim=essence_of_route,
                kept=Packed(ROUTES_TOTAL, least=without_mark),
            )
            for resource in routes
        ),
    )
    return index


def key_of(target: Json) -> Key:
    """Return the key of a Deployment."""
    metadata = target["metadata"]
    return Key(namespace=metadata["namespace"], name=metadata["name"])


def is_marked(obj: Json) -> bool:
    """Tell whether an object carries an annotation or label of Headgate's."""
    metadata = obj["metadata"]
    names = (*(metadata.get("annotations") or ()), *(metadata.get("labels") or ()))
    return any(name.startswith(_MARKS) for name in names)


def label_of_namespace(namespace: Json) -> Json:
    """Return what is kept of a namespace: whether it is enabled, and whether it is ending."""
    metadata = namespace["metadata"]
    labels = metadata.get("labels") or {}
    kept = ("name", "resourceVersion", "deletionTimestamp")
    return {
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "labels": {name: labels[name] for name in (NAMESPACE_LABEL,) if name in labels},
        }
    }


def essence_of_canary(canary: Json) -> Json:
    """Return what is kept of a Canary that is too large: whose it is, of what, and its record.

    Whatever is done by it is done after it was read anew.
    """
    metadata, spec, status = canary["metadata"], canary["spec"], canary.get("status") or {}
    labels = metadata.get("labels") or {}
    times = ("creationTimestamp", "deletionTimestamp")
    kept = ("namespace", "name", "uid", "resourceVersion", "generation", *times)
    target = {
        name: str(spec["targetRef"][name])[:_LONGEST_NAME]
        for name in ("kind", "name")
        if name in spec["targetRef"]
    }
    return {
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "labels": {name: labels[name] for name in (AUTO_LABEL,) if name in labels},
        },
        "spec": {
            "targetRef": target,
            **({"analysis": spec["analysis"]} if is_ours(canary) else {}),
        },
        "status": status if len(orjson.dumps(status)) <= _LARGEST_STATUS else {},
    }


def least_of_canary(canary: Json) -> Json:
    """Return what is kept of a Canary whatever it is and however many there are: whose, of what."""
    metadata, reference = canary["metadata"], canary["spec"]["targetRef"]
    labels = metadata.get("labels") or {}
    kept = ("namespace", "name", "uid", "resourceVersion", "generation", *_TIMES)
    named = {name: str(reference[name])[:_LONGEST_NAME] for name in _NAMES if name in reference}
    return {
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "labels": {name: labels[name] for name in (AUTO_LABEL,) if name in labels},
        },
        "spec": {"targetRef": named, **({"analysis": {}} if is_ours(canary) else {})},
        "status": {},
    }


def essence_of_route(route: Json) -> Json:
    """Return what is kept of a route: the mark of its splits, and digests of all that matters.

    Of one that is split it is news, too, what gateways have against it, and that they have it. One
    that leads to other namespaces tells where.
    """
    metadata, notes, abroad = route["metadata"], annotations(route), led_abroad(route)
    kept = ("namespace", "name", "resourceVersion")
    return {
        "kind": route.get("kind"),
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "annotations": {name: notes[name] for name in (SPLIT,) if name in notes},
        },
        "spec": hashlib.sha256(_meaning(route)).hexdigest(),
        "names": _names(route),
        **({} if abroad == () else {"abroad": abroad}),
        **({"told": _told(route)} if SPLIT in notes else {}),
    }


def _told(route: Json) -> str:
    """Return what counts of what gateways tell of a route, as digests; they tell much else."""
    dialect = dialect_of(route)
    if dialect is None or not isinstance(route.get("spec"), dict):
        return ""
    behind = ("behind",) if dialect.lag(route) else ()
    return " ".join((*behind, *(it.who for it in dialect.word(route).troubles)))


def _names(route: Json) -> str:
    """Return a digest of all words of a route: where it leads to is among them, weights are not."""
    words, left = set[str](), [route.get("spec")]
    while left:
        match left.pop():
            case str() as word:
                words.add(word)
            case dict() as found:
                left += found.values()
            case list() as found:
                left += found
            case _:
                pass
    return hashlib.sha256("\n".join(sorted(words)).encode(errors="replace")).hexdigest()


def _meaning(route: Json) -> bytes:
    """Return all that matters of a route; of one that is too deep, every version is news."""
    notes, version = annotations(route), str(route["metadata"].get("resourceVersion"))
    try:
        return orjson.dumps([route.get("spec"), notes], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return version.encode()


def without_mark(route: Json) -> Json:
    """Return what is kept of a route whose mark is larger than any of ours, or of too many."""
    metadata = {name: it for name, it in route["metadata"].items() if name != "annotations"}
    return {**{name: it for name, it in route.items() if name != "abroad"}, "metadata": metadata}
