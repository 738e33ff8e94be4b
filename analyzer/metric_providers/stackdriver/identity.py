"""Who asks Google: a service account whose key a Secret holds, or the analyzer as itself.

The analyzer has an identity where it runs in Google's cloud (Workload Identity), and gets its
tokens of the metadata server. That is asked only where the admin names it, by the variable that
Google's own libraries know, `GCE_METADATA_HOST`: the node may have an identity that is not meant
for it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from yarl import URL

from analyzer.fetching import Fetcher, Question, base_url
from analyzer.metric_providers.stackdriver.tokens import LIFETIME, ServiceAccount
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec

AUDIENCE: Final = "https://monitoring.googleapis.com/"
_TOKEN: Final = "computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path
_SERVICE: Final = "Google's metadata server"
_KEPT: Final = 256
"""Tokens, each of another key."""
_MARGIN: Final = timedelta(minutes=1)
"""Before its end a token is not used any more: clocks differ."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: datetime


class Identity:
    """Gives tokens, each for as long as it is good.

    Args:
        fetcher: asks the metadata server, which no team has named; its clock is the time.
        metadata: its host, "" where the analyzer is nobody at Google.

    """

    def __init__(self, fetcher: Fetcher, metadata: str = "") -> None:
        self._fetcher = fetcher
        self._metadata = metadata.strip()
        self._tokens: OrderedDict[str, _Token] = OrderedDict()

    async def token(self, spec: ProviderSpec) -> str:
        """Return a token that is good for the next minute.

        Args:
            spec: with `serviceAccountKey` in its Secret, or without for the analyzer's own.

        Raises:
            ProviderError: there is none to be had.

        """
        key = spec.secret.get("serviceAccountKey", "").strip()
        name = hashlib.sha256(key.encode()).hexdigest() if key else ""
        now = self._fetcher.now()
        if (kept := self._tokens.get(name)) and now + _MARGIN < kept.until:
            return kept.text
        found = await self._signed(key, now) if key else await self._own(now)
        self._tokens[name] = found
        self._tokens.move_to_end(name)
        if len(self._tokens) > _KEPT:
            self._tokens.popitem(last=False)
        return found.text

    async def _signed(self, key: str, now: datetime) -> _Token:
        # To read and use a key takes up to a tenth of a second.
        return _Token(await asyncio.to_thread(_sign, key, now), now + LIFETIME)

    async def _own(self, now: datetime) -> _Token:
        if not self._metadata:
            raise ProviderError(
                "there is nobody to ask Google as; store the key serviceAccountKey in the Secret, "
                "or let the admin set GCE_METADATA_HOST=metadata.google.internal for the analyzer, "
                "where that has a Workload Identity"
            )
        spec = ProviderSpec(type="stackdriver", address=f"http://{self._metadata}")
        url = base_url(_SERVICE, spec, example="metadata.google.internal")
        question = _metadata_question(spec, url)
        said = await self._fetcher.json(question)
        try:
            lasts = timedelta(seconds=float(said["expires_in"]))
            return _Token(str(said["access_token"]), now + lasts)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ProviderError(f"{_SERVICE} gives no token") from error


def _metadata_question(spec: ProviderSpec, url: URL) -> Question:
    headers = {"Metadata-Flavor": "Google"}
    return Question(service=_SERVICE, spec=spec, url=url / _TOKEN, headers=headers)


def _sign(key: str, now: datetime) -> str:
    return ServiceAccount.read(key).token(AUDIENCE, now)
