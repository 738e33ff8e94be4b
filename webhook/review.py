"""AdmissionReview to values and back: the API server's wire format, and nothing of the rules."""

import base64
from dataclasses import dataclass
from itertools import islice
from textwrap import wrap
from typing import Any, Final

import jsonpatch
import orjson

from canary.admission.facts import Allowed, Denied
from canary.admission.routes import RouteAnswer
from canary.model.pointers import annotation_path
from canary.model.values import Json

MAX_WARNING = 256
"""The API server truncates warnings beyond this many characters."""
MAX_WARNINGS: Final = 15
"""It leaves out what is beyond 4096 characters of all of an answer."""


_REASONS: Final = {400: "BadRequest", 403: "Forbidden", 413: "RequestEntityTooLarge"}
"""The API's reasons for HTTP's codes."""


class BadReview(ValueError):  # noqa: N818 - the API server's mistake, told back to it
    """A body that is no AdmissionReview that we answer; `uid` is set where it could be read."""

    def __init__(self, message: str, uid: str = "") -> None:
        super().__init__(message)
        self.uid = uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One request for admission; `old` is None where the object is being created."""

    uid: str
    user: str
    dry_run: bool
    old: Json | None
    new: Json

    @property
    def name(self) -> str:
        """Name of the object under review."""
        return str(self.new["metadata"].get("name", ""))

    @property
    def namespace(self) -> str:
        """Namespace of the object under review."""
        return str(self.new["metadata"].get("namespace", ""))


def read_review(body: bytes, *, needs_spec: bool = True) -> Review:
    """Decode a request body.

    Args:
        body: what was sent.
        needs_spec: whether object and oldObject have to have a spec.

    Raises:
        BadReview: it is not a review that can be answered.

    """
    try:
        document = orjson.loads(body)
        request = document["request"]
        uid = str(request["uid"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadReview(f"not an AdmissionReview: {error}") from error
    old, new = _objects(request, uid, needs_spec=needs_spec)
    user = request.get("userInfo") or {}
    if not isinstance(user, dict):
        raise BadReview("userInfo is no object", uid)
    return Review(
        uid=uid,
        user=str(user.get("username", "")),
        dry_run=bool(request.get("dryRun")),
        old=old,
        new=new,
    )


def _objects(request: Json, uid: str, *, needs_spec: bool) -> tuple[Json | None, Json]:
    old, new = request.get("oldObject"), request.get("object")
    created = request.get("operation") == "CREATE" and old is None
    if not isinstance(new, dict) or not (created or isinstance(old, dict)):
        raise BadReview("only reviews of CREATE and UPDATE with their objects are answered", uid)
    given = [obj for obj in (old, new) if obj is not None]
    if not all(_has_parts(obj, needs_spec=needs_spec) for obj in given):
        raise BadReview("object and oldObject need metadata and spec", uid)
    return old, new


def _has_parts(obj: Json, *, needs_spec: bool) -> bool:
    """Tell whether an object has what every answer is written into."""
    metadata, spec = obj.get("metadata"), obj.get("spec")
    if not isinstance(metadata, dict) or (needs_spec and not isinstance(spec, dict)):
        return False
    return isinstance(metadata.get("annotations") or {}, dict)


def answer_write(uid: str, new: Json, answer: Allowed | Denied) -> bytes:
    """Encode the answer to a write to a target."""
    if isinstance(answer, Denied):
        return denied(uid, answer.message)
    operations = _annotation_operations(new, answer.annotations)
    if answer.paused is True:
        operations.append({"op": "add", "path": "/spec/paused", "value": True})
    elif answer.paused is False and "paused" in new["spec"]:
        operations.append({"op": "remove", "path": "/spec/paused"})
    return _allowed(uid, operations, answer.warnings)


def answer_route(uid: str, new: Json, answer: RouteAnswer) -> bytes:
    """Encode the answer to a write to a route."""
    operations = list(jsonpatch.make_patch(new, answer.route))
    return _allowed(uid, operations, answer.warnings)


def passed(uid: str, warnings: tuple[str, ...] = ()) -> bytes:
    """Encode an answer that changes nothing; a long warning goes on in the next one."""
    lines = (part for warning in warnings for part in wrap(warning, MAX_WARNING))
    return _allowed(uid, [], tuple(islice(lines, MAX_WARNINGS)))


def identity(review: Review) -> dict[str, str]:
    """Return what the log calls a review by."""
    return {
        "request_uid": review.uid,
        "namespace": review.namespace,
        "name": review.name,
        "user": review.user,
    }


def denied(uid: str, message: str, code: int = 403) -> bytes:
    """Encode a refusal; the client prints the message."""
    status = {"code": code, "message": message, "reason": _REASONS[code]}
    return _envelope({"uid": uid, "allowed": False, "status": status})


def _allowed(uid: str, operations: list[Json], warnings: tuple[str, ...]) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(operations)).decode()
    if warnings:
        response["warnings"] = [warning[:MAX_WARNING] for warning in warnings]
    return _envelope(response)


def _envelope(response: Json) -> bytes:
    return orjson.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    )


def _annotation_operations(new: Json, annotations: dict[str, str | None]) -> list[Json]:
    if not annotations:
        return []
    present = new["metadata"].get("annotations")
    operations: list[Json] = []
    if not present:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        present = {}
    for key, value in annotations.items():
        path = annotation_path(key)
        if value is not None:
            operations.append({"op": "add", "path": path, "value": value})
        elif key in present:
            operations.append({"op": "remove", "path": path})
    return operations
