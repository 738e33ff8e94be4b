"""Who asks CloudWatch: what a Secret holds, or what the analyzer's pod is given.

Only what is given to a pod on purpose counts, as AWS' own library finds it: variables, the token
of a service account with a role (IRSA), the address of a container's credentials (Pod Identity).
What a node has for itself is no pod's, and neither is any file or program.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.config import Config
from botocore.credentials import Credentials, create_credential_resolver
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from analyzer.ports import ProviderError

KEY_ID: Final = "aws_access_key_id"
KEY: Final = "aws_secret_access_key"
TOKEN: Final = "aws_session_token"  # noqa: S105 - the name of a key
_GIVEN_TO_A_POD: Final = frozenset({"env", "assume-role-with-web-identity", "container-role"})
"""Of AWS' ways to find credentials (botocore.credentials), by their METHOD."""
_SECONDS: Final = 3
"""For a connection, and for an answer, when credentials are renewed."""
_PATIENCE: Final = 10.0
"""Seconds that a question waits for credentials."""


def of_secret(secret: Mapping[str, str]) -> Credentials:
    """Return the credentials that a Secret holds, without white space around them.

    Raises:
        ProviderError: it holds none.

    """
    key_id, key, token = (secret.get(name, "").strip() for name in (KEY_ID, KEY, TOKEN))
    if not key_id or not key:
        raise ProviderError(
            f"the Secret for CloudWatch needs the keys {KEY_ID} and {KEY}, and {TOKEN} where "
            "they are temporary"
        )
    return Credentials(key_id, key, token or None)


class OfThePod:
    """Finds the pod's credentials, and renews them before they expire.

    AWS' library blocks while it does, so it has a thread to itself.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aws-credentials")
        self._found: Any = None

    async def get(self) -> Credentials:
        """Return credentials that are good for the next minutes.

        Raises:
            ProviderError: the pod has none, or AWS does not give any now.

        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await loop.run_in_executor(self._thread, self._frozen)
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            # Its text may quote what AWS or a file has said.
            raise ProviderError(
                f"the analyzer's credentials for AWS cannot be had ({type(error).__name__}); let "
                "the admin see to the role of its service account"
            ) from error

    def _frozen(self) -> Credentials:
        if self._found is None:
            self._found = _load()
        found = self._found.get_frozen_credentials()
        return Credentials(found.access_key, found.secret_key, found.token)


def _load() -> Any:
    session = Session()
    session.set_default_client_config(
        Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
    )
    resolver = create_credential_resolver(session)
    for name in [one.METHOD for one in resolver.providers]:
        if name not in _GIVEN_TO_A_POD:
            resolver.remove(name)
    if (found := resolver.load_credentials()) is None:
        raise ProviderError(
            f"there is nobody to ask CloudWatch as; name a Secret with {KEY_ID} and {KEY} in the "
            "MetricTemplate's secretRef, or let the admin give the analyzer's service account a "
            "role that may cloudwatch:GetMetricData"
        )
    return found
