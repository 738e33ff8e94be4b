"""Which Deployments tell that a Flagger works on a namespace."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from canary.contract import FLAGGER_GROUP, FLAGGER_KIND
from canary.model.values import Json

PROGRAM: Final = "flagger"
"""The last part of the names of Flagger's image and of its program."""
_FLAG: Final = "namespace"
"""Flagger's option for the one namespace that it works on; without it, on all."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A Deployment that tells of a Flagger: what it is, and the namespace it tells of, "" all."""

    what: str
    namespace: str = ""


def sign_of(deployment: Json) -> Sign | None:
    """Return what a Deployment tells of a Flagger, None where it tells of none.

    It runs one, by the name of a container's image or program, and is not scaled to 0; or it
    belongs to a Canary, as what Flagger makes of every target does (`web-primary`) and nothing of
    ours.

    Args:
        deployment: the object, in whatever namespace.

    """
    metadata = deployment["metadata"]
    namespace = metadata.get("namespace", "")
    name = f"Deployment {namespace}/{metadata['name']}"
    if any(_is_canary(owner) for owner in metadata.get("ownerReferences") or ()):
        return Sign(f"{name} belongs to a Canary that Flagger follows", namespace)
    if not deployment["spec"].get("replicas", 1):
        return None
    pod = deployment["spec"]["template"].get("spec") or {}
    for container in pod.get("containers") or ():
        if _runs_flagger(container):
            return Sign(f"{name} runs Flagger", _only_in(container, namespace))
    return None


def at_work(signs: Iterable[Sign], namespace: str) -> str:
    """Return what tells that a Flagger works on a namespace, "" where nothing does.

    Args:
        signs: of all Deployments of the cluster.
        namespace: the one that is asked about.

    """
    told = sorted(sign.what for sign in signs if sign.namespace in {"", namespace})
    return told[0] if told else ""


def _is_canary(owner: Json) -> bool:
    group = str(owner.get("apiVersion", "")).partition("/")[0]
    return owner.get("kind") == FLAGGER_KIND and group == FLAGGER_GROUP


def _runs_flagger(container: Json) -> bool:
    image = str(container.get("image") or "").partition("@")[0].rpartition("/")[2]
    program = (*(container.get("command") or ()), *(container.get("args") or ()))[:1]
    names = (image.partition(":")[0], *(str(word).rpartition("/")[2] for word in program))
    return PROGRAM in names


def _only_in(container: Json, own: str) -> str:
    """Return the one namespace that a Flagger is told to work on; "" where that is not known."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    for at, word in enumerate(words):
        option, given, value = str(word).partition("=")
        if option in {f"-{_FLAG}", f"--{_FLAG}"}:
            text = value if given else "".join(words[at + 1 : at + 2])
            return _expanded(text, container.get("env") or (), own)
    return ""


def _expanded(text: str, env: Sequence[Json], own: str) -> str:
    """Return an option's value where it is a variable: `$(NAME)`, of a text or the pod's own."""
    if not text.startswith("$("):
        return text
    name = text.removeprefix("$(").removesuffix(")")
    found = next((one for one in env if one.get("name") == name), {})
    field = ((found.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
    return own if field == "metadata.namespace" else str(found.get("value") or "")
