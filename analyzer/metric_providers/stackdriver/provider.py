"""Metrics from Google Cloud Monitoring, by a query in its own language (MQL)."""

import json
import re
from datetime import timedelta
from typing import Any, Final

from analyzer.fetching import Fetcher, Question, base_url, credentials, unexpected
from analyzer.metric_providers.stackdriver.answers import points_of
from analyzer.metric_providers.stackdriver.identity import Identity
from analyzer.ports import ProviderError
from canary.queries.points import at_newest, window_of
from canary.queries.provider import ProviderSpec

SERVICE: Final = "Google Cloud Monitoring"
ADDRESS: Final = "https://monitoring.googleapis.com"
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,127}")
_MOST_SERIES: Final = 100
"""That are asked for; a metric needs one."""


class Stackdriver:
    """Asks Google Cloud Monitoring.

    Args:
        fetcher: sends the requests.
        identity: who asks.
        address: of the API where a template names none.

    """

    def __init__(self, fetcher: Fetcher, identity: Identity, address: str = ADDRESS) -> None:
        self._fetcher = fetcher
        self._identity = identity
        self._address = address

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest values of an MQL query.

        Args:
            spec: the Secret has `project`, and `serviceAccountKey` unless the analyzer asks as
                itself; only with the key do an `address` and `headers` count.
            query: MQL with one value for each point.
            interval: the metric's.

        Raises:
            ProviderError: there is no answer to be had.

        """
        now = self._fetcher.now()
        question = await self._question(spec, query)
        answer = await self._fetcher.json(question)
        try:
            points = points_of(answer)
        except ValueError:
            raise unexpected(question) from None
        return at_newest(points, now=now, window=window_of(interval))

    async def _question(self, spec: ProviderSpec, query: str) -> Question:
        (project,) = credentials(SERVICE, spec, "project")
        if not _PROJECT.fullmatch(project):
            raise ProviderError("the key project of the Secret is no ID of a Google Cloud project")
        if spec.chooses_the_way and not spec.secret.get("serviceAccountKey", "").strip():
            # Nobody may choose where the analyzer's own token goes.
            raise ProviderError(
                f"an address, headers or insecureSkipVerify for {SERVICE} need credentials of "
                "their own; store the key serviceAccountKey in the Secret, or leave them out"
            )
        base = base_url(SERVICE, spec, default=self._address, example=ADDRESS)
        token = await self._identity.token(spec)
        return Question(
            service=SERVICE,
            spec=spec,
            url=base / "v3/projects" / project / "timeSeries:query",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            body=json.dumps({"query": query, "pageSize": _MOST_SERIES}).encode(),
            complaint=_complaint,
        )


def _complaint(said: Any) -> str:
    """Return Google's own words (google.rpc.Status)."""
    return f"{said['error']['status']}: {said['error']['message']}"
