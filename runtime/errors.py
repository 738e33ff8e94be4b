"""What can go wrong on the way to the API server, as types.

```text
HeadgateError
|-- ConfigurationError     no kubeconfig and not in a cluster, or one that cannot be read
|-- LeadershipLost         this process stopped being the leader while it led
|-- RootTaskEnded          a task that should run for ever returned
`-- ApiError(status, reason, message)
    |-- NotFound           404
    |-- AlreadyExists      409 with the reason AlreadyExists
    |-- Conflict           409: somebody else wrote in between, or a precondition failed
    |-- Expired            410: the resourceVersion or the continue token is too old
    |-- Throttled          429, with retry_after in seconds
    |-- TooLarge           the answer is longer than what is read of one
    |-- Invalid            400, 405, 406, 413, 415, 422: repeating it would not help
    |-- Forbidden          401, 403
    |   `-- NamespaceEnding  403: nothing can be made in a namespace that is being deleted
    `-- Unavailable        no answer in time, no connection, 5xx, or an answer that is no JSON
```

Callers decide by type, never by the text of a message.
"""

from typing import Any

import orjson

_MESSAGE_LIMIT = 512
LONGEST_PATIENCE = 300.0
"""Seconds that are waited at most because a server asked for it: a proxy's day stops nothing."""
_FORBIDDEN = 403
_ENDING = "NamespaceTerminating"
"""The cause (v1.NamespaceTerminatingCause) that admission gives for a namespace that ends."""


class HeadgateError(Exception):
    """Any failure that Headgate names itself."""


class ConfigurationError(HeadgateError):
    """There is no usable way to an API server in the environment."""


class LeadershipLost(HeadgateError):  # noqa: N818  # it names what happened, as the tree above
    """The lease could not be renewed in time; the leader's work was cancelled."""


class RootTaskEnded(HeadgateError):  # noqa: N818  # as above
    """A task that should run for ever returned by itself."""


class ApiError(HeadgateError):
    """The API server refused a request, or could not be reached.

    Args:
        status: HTTP status, 0 where there was no answer.
        reason: CamelCase reason of the Kubernetes `Status`, or one of ours.
        message: one sentence for the reader, cut at 512 characters.

    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):  # noqa: N818  # the names of the Kubernetes reasons, here and below
    """404: no such object, or no such kind."""


class AlreadyExists(ApiError):  # noqa: N818
    """409: create met an object of that name."""


class Conflict(ApiError):  # noqa: N818
    """409: the object was written by somebody else since it was read."""


class Expired(ApiError):  # noqa: N818
    """410: the server no longer knows that resourceVersion or continue token."""


class TooLarge(ApiError):  # noqa: N818
    """The answer is longer than what is read of one; nothing of it was parsed."""


class Invalid(ApiError):  # noqa: N818
    """The request itself is wrong, or an admission step refused it."""


class Forbidden(ApiError):  # noqa: N818
    """401 or 403: the credentials or the RBAC rules do not allow it."""


class NamespaceEnding(Forbidden):
    """403: the namespace is being deleted, and nothing can be made in it any more."""


class Throttled(ApiError):  # noqa: N818
    """429: the server asks for patience.

    Args:
        status: always 429.
        reason: as in `ApiError`.
        message: as in `ApiError`.
        retry_after: seconds that the server asked for, None where it named none.

    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


class Unavailable(ApiError):  # noqa: N818
    """Nobody answered, or the server had trouble of its own.

    Args:
        status: HTTP status, 0 where there was no answer.
        reason: as in `ApiError`.
        message: as in `ApiError`.
        reached: False where the server surely has not seen the request, so that any
            request, also one that is not idempotent, may be repeated.

    """

    def __init__(self, status: int, reason: str, message: str, *, reached: bool = True) -> None:
        super().__init__(status, reason, message)
        self.reached = reached


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    406: Invalid,
    409: Conflict,
    410: Expired,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: Throttled,
}


def from_status(status: dict[str, Any], retry_after: float | None = None) -> ApiError:
    """Return the error that a Kubernetes `Status` object stands for.

    Args:
        status: the object, of an answer's body or of an ERROR event of a watch.
        retry_after: seconds of a Retry-After header, for 429.

    """
    code = int(status.get("code") or 0)
    reason = str(status.get("reason") or "Unknown")
    message = str(status.get("message") or "")[:_MESSAGE_LIMIT]
    # The reason is an enumeration of the API (metav1.StatusReason), not prose; 409 needs it.
    if reason == "AlreadyExists":
        return AlreadyExists(code, reason, message)
    if code == _FORBIDDEN and _ENDING in _causes(status):
        return NamespaceEnding(code, reason, message)
    kind = _BY_STATUS.get(code, Unavailable if code >= 500 or not code else ApiError)  # noqa: PLR2004
    if kind is Throttled:
        return Throttled(code, reason, message, retry_after)
    return kind(code, reason, message)


def _causes(status: dict[str, Any]) -> set[str]:
    causes = (status.get("details") or {}).get("causes") or ()
    return {str(cause.get("reason", "")) for cause in causes}


def only_one(group: ExceptionGroup[Exception]) -> ApiError | None:
    """Return what the API server said, where all that ended a group of tasks are its answers.

    Args:
        group: what a `TaskGroup` raised; groups in it are looked into.

    Returns:
        The first answer; None where anything else went wrong too.

    """
    ours, others = group.split(ApiError)
    if ours is None or others is not None:
        return None
    first = ours.exceptions[0]
    return first if isinstance(first, ApiError) else only_one(first)


def patience_of(error: BaseException) -> float:
    """Return the seconds that the API server asked to be left alone for, 0 where it did not.

    Of several answers, as those of a group of tasks, the longest counts. An error that stands for a
    group of which it was made (`raise ... from`) stands for all of it.

    Args:
        error: what went wrong.

    """
    asked, seen, left = 0.0, set[int](), [error]
    while left:
        one = left.pop()
        # An answer that stands for its group is in it too.
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Throttled):
            asked = max(asked, one.retry_after or 0.0)
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
        if one.__cause__ is not None:
            left.append(one.__cause__)
    return min(LONGEST_PATIENCE, asked)


def from_response(code: int, body: bytes, retry_after: float | None = None) -> ApiError:
    """Return the error for an HTTP answer that is not 2xx.

    Args:
        code: HTTP status.
        body: the answer's body; one that is no `Status` object is cut and quoted.
        retry_after: seconds of the Retry-After header, None without it.

    """
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict):
        status = {"message": body.decode("utf-8", "replace")}
    return from_status({**status, "code": code}, retry_after)
