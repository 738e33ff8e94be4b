"""Jobs that an admin has installed as templates, and what a hook may add to one: arguments.

Image, command, service account and all else are the template's. What bounds a Job is set here, and
so is what tells whose it is.
"""

import copy
import re
import shlex
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from canary.contract import LOAD_TEST, LOAD_TEST_OF
from loadtester.payload import Payload

Json = dict[str, Any]

MOST_ARGUMENTS: Final = 64
KEPT_AFTER_END: Final = timedelta(minutes=10)
"""How long an ended Job stays, with its log, unless its template says otherwise."""
LONGEST_KEPT: Final = timedelta(days=1)
_LARGEST: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
"""With what is added, the name of a Job, from which those of its pods are made."""
_NOT_TO_SAY: Final = ("suspend", "manualSelector", "selector")
"""Fields of a Job with which it would never begin, or never be told from others."""


class OrderError(ValueError):
    """The hook asks for a Job in a way that cannot be followed; the message is the answer."""


class TemplateError(Exception):
    """The admin's template cannot be used; the message is the answer to the hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """What a hook asks for.

    `canary` is whose it is, as name.namespace, `version` which one of its versions the run is
    about, and `caller` from which address it came.
    """

    canary: str
    template: str
    arguments: tuple[str, ...] = field(repr=False)
    version: str = ""
    caller: str = ""

    @property
    def key(self) -> tuple[str, str, str, tuple[str, ...]]:
        """What makes two orders the same one."""
        return self.canary, self.version, self.template, self.arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The pod with which a Job goes."""

    name: str
    uid: str

    @property
    def reference(self) -> Json:
        """The ownerReference to it."""
        return {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}


def read_order(payload: Payload, caller: str) -> JobOrder:
    """Read what a hook asks for.

    Args:
        payload: as it came.
        caller: the address that it came from.

    Raises:
        OrderError: it cannot be followed.

    """
    template = payload.text("template")
    if template is None:
        raise OrderError("the payload has no metadata.template, the Job to run")
    if not _NAME.fullmatch(template):
        raise OrderError(f"{template[:60]!r} is no name of a template")
    try:
        words = tuple(shlex.split(payload.text("args") or ""))
    except ValueError as error:
        raise OrderError(f"metadata.args cannot be read: {error}") from error
    if len(words) > MOST_ARGUMENTS:
        raise OrderError(f"metadata.args has more than {MOST_ARGUMENTS} arguments")
    return JobOrder(
        canary=payload.canary,
        template=template,
        arguments=words,
        version=payload.checksum,
        caller=caller,
    )


def names(folder: str) -> list[str]:
    """Return the names of all templates; it waits for the disk."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml") if _NAME.fullmatch(path.stem))


def read_template(folder: str, name: str) -> Json:
    """Read one template; it waits for the disk.

    Args:
        folder: where templates lie, a file `<name>.yaml` each.
        name: checked by `read_order`.

    Raises:
        OrderError: there is none of this name.
        TemplateError: it is no Job that can be used.

    """
    try:
        with Path(folder, f"{name}.yaml").open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        known = ", ".join(names(folder)) or "none"
        raise OrderError(f"there is no template {name!r}; there are: {known}") from error
    except OSError as error:
        raise TemplateError(f"the template {name} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise TemplateError(f"the template {name} is larger than {_LARGEST} bytes")
    try:
        # YAML has more than JSON: keys that are no text, sets, loops.
        template = orjson.loads(orjson.dumps(yaml.safe_load(content)))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise TemplateError(f"the template {name} is no YAML of one JSON object") from error
    if why := _unusable(template):
        raise TemplateError(f"the template {name} cannot be used: {why}")
    return dict(template)


def _unusable(template: Any) -> str:
    """Say why a template cannot be used, "" where it can; what is left the API server tells."""
    if not isinstance(template, dict) or template.get("kind") != "Job":
        return "it is no Job"
    if template.get("apiVersion") != "batch/v1":
        return "its apiVersion is not batch/v1"
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return "it has no spec"
    if not (_labelled(template) and _labelled(spec.get("template"))):
        return "its metadata, labels or annotations are no objects"
    return _unbounded(spec) or _no_pod(spec.get("template"))


def _unbounded(spec: Json) -> str:
    if said := [key for key in _NOT_TO_SAY if spec.get(key)]:
        return f"spec.{said[0]} may not be given"
    for key in ("activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        seconds = spec.get(key, 1)
        if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
            return f"spec.{key} is no number of seconds"
    return ""


def _labelled(template: Any) -> bool:
    """Tell whether metadata, labels and annotations are objects, where they are."""
    metadata = (template.get("metadata") if isinstance(template, dict) else None) or {}
    if not isinstance(metadata, dict):
        return False
    return all(isinstance(metadata.get(key) or {}, dict) for key in ("labels", "annotations"))


def _no_pod(template: Any) -> str:
    pod = template.get("spec") if isinstance(template, dict) else None
    containers = pod.get("containers") if isinstance(pod, dict) else None
    first = containers[0] if isinstance(containers, list) and containers else None
    if not isinstance(first, dict):
        return "spec.template.spec has no containers"
    if not isinstance(first.get("args", []), list):
        return "the args of its first container are no list"
    return ""


def job_of(
    template: Json, order: JobOrder, *, name: str, longest: timedelta, owner: Owner | None
) -> Json:
    """Return the Job that is made for an order.

    Args:
        template: as `read_template` returned it.
        order: what the hook asks for.
        name: of the Job.
        longest: how long it may run, even if its template says more.
        owner: with what it goes, None for nothing but its time.

    """
    spec = copy.deepcopy(template["spec"])
    spec["activeDeadlineSeconds"] = _least(spec, "activeDeadlineSeconds", longest, longest)
    spec["ttlSecondsAfterFinished"] = _least(
        spec, "ttlSecondsAfterFinished", KEPT_AFTER_END, LONGEST_KEPT
    )
    # A test that failed has its answer; whoever wants it tried again says so.
    spec.setdefault("backoffLimit", 0)
    spec["template"]["spec"].setdefault("restartPolicy", "Never")
    _label(spec["template"], order)
    first = spec["template"]["spec"]["containers"][0]
    first["args"] = [*first.get("args", []), *map(_literal, order.arguments)]
    job: Json = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        # What else a template has there is of the object that it was copied from.
        "metadata": {
            key: copy.deepcopy(value)
            for key, value in (template.get("metadata") or {}).items()
            if key in {"labels", "annotations"}
        },
        "spec": spec,
    }
    _label(job, order)
    annotations = job["metadata"].get("annotations") or {}
    job["metadata"]["annotations"] = {**annotations, LOAD_TEST_OF: order.canary}
    job["metadata"]["name"] = name
    job["metadata"]["namespace"] = order.canary.rpartition(".")[2]
    if owner is not None:
        job["metadata"]["ownerReferences"] = [owner.reference]
    return job


def _least(spec: Json, key: str, otherwise: timedelta, most: timedelta) -> int:
    seconds: int = spec.get(key, int(otherwise.total_seconds()))
    return min(seconds, int(most.total_seconds()))


def _label(labelled: Json, order: JobOrder) -> None:
    metadata = labelled.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), LOAD_TEST: order.template}
    labelled["metadata"] = {**metadata, "labels": labels}


def _literal(argument: str) -> str:
    """Return an argument such that Kubernetes puts no variable of the container into it.

    It replaces `$(NAME)` by a variable's value, which may be secret, and `$$` by `$`.
    """
    return argument.replace("$", "$$")
