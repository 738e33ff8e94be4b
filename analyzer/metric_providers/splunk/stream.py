"""What a SignalFlow computation sends: messages as Server-Sent Events, to the end of a channel.

Messages: https://dev.splunk.com/observability/docs/signalflow/messages/stream_messages_specification/
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from analyzer.ports import ProviderError
from canary.queries.points import Points, number_of

_LINE: Final = re.compile(r"\r\n|\r|\n")
_SHOWN: Final = 256
"""Characters of SignalFlow's own words that a message quotes."""


def points_of(text: str) -> Points:
    """Return the points of all series of a computation, each with its time in seconds.

    Args:
        text: the whole stream.

    Raises:
        ProviderError: the computation failed, was cut off or publishes several streams.
        ValueError: it is no stream of SignalFlow.

    """
    try:
        return _points(text)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError("no stream of SignalFlow") from error


def _points(text: str) -> Points:
    labels, points, ended = set[str](), Points(), False
    for kind, message in _messages(text):
        match kind:
            case "metadata":
                labels.add(str(message["properties"].get("sf_streamLabel") or ""))
            case "data":
                at = float(message["logicalTimestampMs"]) / 1000
                points += [(at, number_of(one.get("value"))) for one in message["data"]]
            case "error":
                raise ProviderError(f"Splunk refuses the query: {complaint(message)}; mend it")
            case "control-message":
                ended = ended or _is_end(message)
            case _:
                pass
    if not ended:
        raise ProviderError("Splunk ended its answer before the computation was at its end")
    _one_stream(labels)
    return points


def _one_stream(labels: set[str]) -> None:
    if len(labels) > 1:
        names = ", ".join(sorted(label or "one without a label" for label in labels))
        raise ProviderError(
            f"the query publishes {len(labels)} streams ({names[:_SHOWN]}); let it publish() one"
        )


def _messages(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read the events of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    One message may be several lines of data.
    """
    kind, data = "", list[str]()
    for line in _LINE.split(text):
        name, _, value = line.partition(":")
        if not line and data:
            yield kind, _object("\n".join(data))
        if not line:
            kind, data = "", []
        elif name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            data.append(value)


def _object(text: str) -> Mapping[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _is_end(message: Mapping[str, Any]) -> bool:
    """Tell whether a channel is at its end.

    Raises:
        ProviderError: it was given up.

    """
    if message["event"] == "CHANNEL_ABORT":
        why = (message.get("abortInfo") or {}).get("sf_job_abortReason") or "it does not say why"
        raise ProviderError(f"Splunk gave the computation up: {str(why)[:_SHOWN]}")
    return bool(message["event"] == "END_OF_CHANNEL")


def complaint(message: Mapping[str, Any]) -> str:
    """Return what is wrong with a program, in SignalFlow's own words."""
    whole = message.get("message")
    each = [str(one.get("code", "")) for one in message.get("errors") or ()]
    return str(whole or ", ".join(filter(None, each)) or "it does not say why")[:_SHOWN]
