"""Metrics from CloudWatch, signed by AWS' own library and sent like any other question."""

import asyncio
import re
from datetime import timedelta
from functools import cache
from typing import Any, Final

import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import create_loader
from botocore.regions import EndpointResolver
from yarl import URL

from analyzer.fetching import Fetcher, Question, base_url, unexpected
from analyzer.metric_providers.cloudwatch.credentials import OfThePod, of_secret
from analyzer.metric_providers.cloudwatch.data import request_of
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec

SERVICE: Final = "CloudWatch"
_SIGNED_FOR: Final = "monitoring"
_HEADERS: Final = {
    # The JSON form of the protocol, of those that the service's own model names.
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "GraniteServiceVersion20100801.GetMetricData",
}
_REGION: Final = re.compile(r"[a-z]{2,8}(-[a-z]{1,16}){1,3}-[0-9]{1,3}")


class CloudWatch:
    """Asks CloudWatch of the region that a MetricTemplate names.

    Args:
        fetcher: sends the requests.
        pod: who asks where a template names no Secret.

    """

    def __init__(self, fetcher: Fetcher, pod: OfThePod) -> None:
        self._fetcher = fetcher
        self._pod = pod

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest values of a GetMetricData query.

        Args:
            spec: `region`; with a Secret (`aws_access_key_id`, `aws_secret_access_key` and perhaps
                `aws_session_token`) it is asked with those, and an `address` and `headers` count.
            query: JSON, the list `MetricDataQueries` with one result.
            interval: the metric's; see `data.request_of`.

        Raises:
            ProviderError: there is no answer to be had.

        """
        url = await _url(spec)
        asked = request_of(query, interval, self._fetcher.now())
        who = of_secret(spec.secret) if spec.secret else await self._pod.get()
        question = _signed(spec, url, orjson.dumps(asked.body()), who)
        answer = await self._fetcher.json(question)
        try:
            return asked.values(answer)
        except ValueError:
            raise unexpected(question) from None


async def _url(spec: ProviderSpec) -> URL:
    """Return where CloudWatch is in a template's region.

    Raises:
        ProviderError: the region is none, or the address is not the template's to choose.

    """
    if not _REGION.fullmatch(spec.region):
        raise ProviderError(
            "CloudWatch needs a region; name one, such as eu-central-1, in the "
            "MetricTemplate's provider"
        )
    if spec.chooses_the_way and not spec.secret:
        # Nobody may choose where something signed with the analyzer's credentials goes.
        raise ProviderError(
            "an address, headers or insecureSkipVerify for CloudWatch need credentials of their "
            "own; name a Secret in the MetricTemplate's secretRef, or leave them out"
        )
    # The table is a large file, which is read once.
    own = await asyncio.to_thread(_endpoint, spec.region)
    if own is None:
        raise ProviderError(f"AWS has no region {spec.region}; mend the provider's region")
    url = base_url(SERVICE, spec, default=own, example=own)
    return url / "" if url.path in {"", "/"} else url


@cache
def _endpoints() -> Any:
    """Return AWS' own table of where it has its services."""
    return EndpointResolver(create_loader().load_data("endpoints"))


def _endpoint(region: str) -> str | None:
    found = _endpoints().construct_endpoint(_SIGNED_FOR, region)
    return f"https://{found['hostname']}" if found else None


def _signed(spec: ProviderSpec, url: URL, body: bytes, who: Credentials) -> Question:
    request = AWSRequest(method="POST", url=str(url), data=body, headers=_HEADERS)
    SigV4Auth(who, _SIGNED_FOR, spec.region).add_auth(request)
    return Question(
        service=SERVICE,
        spec=spec,
        url=url,
        headers=dict(request.headers.items()),
        body=body,
        complaint=_complaint,
    )


def _complaint(said: Any) -> str:
    """Return AWS' own words: the type of an error, which says more than its status."""
    kind = str(said["__type"]).rpartition("#")[2]
    message = said.get("message") or said.get("Message") or ""
    return f"{kind}: {message}" if message else kind
