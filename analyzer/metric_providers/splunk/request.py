"""A SignalFlow program as it is asked for over HTTP."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from yarl import URL

from analyzer.fetching import Question, base_url, credentials
from analyzer.metric_providers.splunk.stream import complaint
from canary.queries.points import window_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "Splunk Observability"
_EXAMPLE: Final = "https://api.us1.signalfx.com"
_OVER_HTTP: Final = {"ws": "http", "wss": "https"}
"""What Flagger asks by; the same program can be asked for without."""


def execution(spec: ProviderSpec, program: str, interval: timedelta, now: datetime) -> Question:
    """Return the question that executes a program over the time that a metric looks back.

    Args:
        spec: the address is that of the API, `https://api.us1.signalfx.com`, or, as Flagger takes
            it too, that of SignalFlow itself, `wss://stream.us1.signalfx.com`; the Secret has
            `sf_token_key`.
        program: SignalFlow.
        interval: the metric's.
        now: with its time zone; what is not known by then is not waited for.

    Raises:
        ProviderError: the address is none, or the Secret has no token.

    """
    (token,) = credentials(SERVICE, spec, "sf_token_key")
    window = {
        "start": str(_milliseconds(now - window_of(interval))),
        "stop": str(_milliseconds(now)),
        "immediate": "true",
    }
    return Question(
        service=SERVICE,
        spec=spec,
        url=(_stream(spec) / "v2/signalflow/execute").with_query(window),
        headers={"X-SF-Token": token, "Content-Type": "text/plain"},
        body=program.encode(),
        complaint=complaint,
    )


def _stream(spec: ProviderSpec) -> URL:
    scheme, separator, rest = spec.address.strip().partition("://")
    address = f"{_OVER_HTTP.get(scheme, scheme)}{separator}{rest}"
    url = base_url(SERVICE, replace(spec, address=address), example=_EXAMPLE)
    host = url.host or ""
    return url.with_host(f"stream.{host[4:]}") if host.startswith("api.") else url


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
