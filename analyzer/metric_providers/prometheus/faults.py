"""What goes wrong between the analyzer and a Prometheus, in words for `Canary.status`."""

from datetime import timedelta
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from analyzer.http import denied
from analyzer.metric_providers.prometheus.bounded_session import Denied, Refused, TooMuch
from analyzer.metric_providers.prometheus.connection import shown
from analyzer.ports import ProviderError, TooLargeError
from canary.durations import format_duration

SHOWN: Final = 512
"""Characters of Prometheus' own text that a message quotes."""


class SilentError(ProviderError):
    """There was no answer in time."""


class RejectedError(ProviderError):
    """It has answered, and not with what was asked for: it may be what was asked."""


def silent(address: str, timeout: timedelta) -> SilentError:
    """Say that the time is over."""
    return SilentError(
        f"Prometheus at {address} has not answered within {format_duration(timeout)}; "
        "see whether it runs and what else it is asked, or make the query cheaper"
    )


def not_prometheus(address: str) -> ProviderError:
    """Say that an answer has not the form that Prometheus' answers have."""
    return ProviderError(
        f"what answers at {address} is not the API of a Prometheus; see whether the address leads "
        "to one, with the path before /api/v1 if it has one"
    )


def explain(error: Exception, address: str, timeout: timedelta, shorten: str) -> ProviderError:
    """Say what was wrong with a query that ended in this error.

    Args:
        error: of `requests`, or of reading what it has read.
        address: without what is secret in it.
        timeout: what the query had.
        shorten: how to mend an answer that is too long.

    """
    match error:
        case requests.Timeout():
            return silent(address, timeout)
        case UnicodeError():
            return ProviderError(
                f"the headers or credentials for Prometheus at {address} have characters that HTTP "
                "cannot carry; mend the MetricTemplate or its Secret"
            )
        case Refused():
            return _refused(error.response, address)
        case TooMuch():
            return TooLargeError(
                f"Prometheus at {address} answers more than {error.what}; {shorten}"
            )
        case requests.RequestException() if not isinstance(error, requests.JSONDecodeError):
            return ProviderError(f"Prometheus at {address} {_unasked(error)}")
        case _:
            return not_prometheus(address)


def _refused(response: requests.Response, address: str) -> ProviderError:
    kind = RejectedError if _is_of_the_query(response.status_code) else ProviderError
    return kind(f"Prometheus at {address} {_complaint(response)}")


def _unasked(error: requests.RequestException) -> str:
    match error:
        case requests.ConnectionError() if isinstance(why := _reason(error), Denied):
            return f"may not be asked: {denied(why.why)}"
        case requests.exceptions.SSLError():
            return (
                "has a certificate that is not trusted, or speaks no TLS; mend it, or set "
                "insecureSkipVerify in the MetricTemplate's provider"
            )
        case requests.ConnectionError():
            return (
                f"cannot be reached ({_cause(error)}); see whether the address is right and "
                "a Service answers there"
            )
        case _:
            return (
                f"cannot be asked ({type(error).__name__}); mend the address or the headers "
                "of the MetricTemplate's provider"
            )


_ADVICE: Final = {
    400: "mend the query",
    401: "see whether the Secret has the right token, or username and password",
    403: "see whether the credentials may query it",
    404: "see whether the address leads to Prometheus, with the path before /api/v1 if it has one",
    422: "mend the query",
    429: "ask it less often, or let it answer more",
}
_QUERYS: Final = frozenset({400, 413, 414, 422})
"""Statuses that tell of a query, or of its length."""


def _is_of_the_query(status: int) -> bool:
    """Tell whether another query might have been answered: a 429 or 401 is said to all alike."""
    return status in _QUERYS or status >= requests.codes.server_error


def _complaint(response: requests.Response) -> str:
    """Say what Prometheus said: https://prometheus.io/docs/prometheus/latest/querying/api/."""
    status = f"answers {response.status_code}"
    if response.is_redirect:
        target = urlsplit(urljoin(response.url, response.headers["Location"]))
        return f"{status}, a redirect to {shown(target)}; make that the provider's address"
    advice = _ADVICE.get(response.status_code, "see its logs, or make the query cheaper")
    return f"{status}{_own_words(response)}; {advice}"


def _own_words(response: requests.Response) -> str:
    # Nothing is quoted that is not in Prometheus' own form: the address is the team's to choose,
    # and what answers there may tell the analyzer what it would not tell the team.
    try:
        said = response.json()
    except requests.JSONDecodeError:
        return f" {response.reason}" if response.reason else ""
    return f": {str(said['error'])[:SHOWN]}" if isinstance(said, dict) and "error" in said else ""


def _reason(error: requests.RequestException) -> object:
    return getattr(error.args[0], "reason", None) if error.args else None


def _cause(error: requests.ConnectionError) -> str:
    match _reason(error):
        case urllib3.exceptions.NameResolutionError():
            return "the name does not resolve"
        case urllib3.exceptions.NewConnectionError(__cause__=OSError(strerror=str(text))):
            return text
        case _:
            return "the connection broke"
