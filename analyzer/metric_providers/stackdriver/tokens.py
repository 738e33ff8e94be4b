"""A service account's own token for one Google API, signed with its key.

Google's APIs take a token that a service account has signed for them itself, so that none has to be
exchanged first, at an address that the key's file would name:
https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from analyzer.ports import ProviderError

LIFETIME: Final = timedelta(hours=1)
"""The longest that Google takes."""
_LARGEST_KEY: Final = 4096
"""Bits. Google makes keys of 2048, and the time to sign grows with the cube."""
_LONGEST_FILE: Final = 16_384
"""Characters of a key's file, which has some 2,400."""
_WRONG: Final = "serviceAccountKey of the Secret is no key of a service account"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who signs, and with what."""

    email: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the JSON file that Google gives for a key.

        Raises:
            ProviderError: it is none; nothing of it is shown.

        """
        if len(text) > _LONGEST_FILE:
            raise ProviderError(f"{_WRONG}: it is longer than {_LONGEST_FILE} characters")
        try:
            found = json.loads(text)
            if (kind := found["type"]) != "service_account":
                raise ProviderError(f"{_WRONG} but of the type {str(kind)[:32]}")
            key = load_pem_private_key(found["private_key"].encode(), password=None)
            email, key_id = str(found["client_email"]), str(found.get("private_key_id", ""))
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ProviderError(f"{_WRONG}; store the JSON file as Google gives it") from error
        except UnsupportedAlgorithm as error:
            raise ProviderError(f"{_WRONG}: it has another algorithm") from error
        if not isinstance(key, RSAPrivateKey) or key.key_size > _LARGEST_KEY:
            raise ProviderError(f"{_WRONG}: those are RSA keys of {_LARGEST_KEY} bits at most")
        return cls(email, key_id, key)

    def token(self, audience: str, now: datetime) -> str:
        """Return a token for one API (RFC 7519), good for `LIFETIME` from now on.

        Args:
            audience: URL of the API, `https://monitoring.googleapis.com/`.
            now: with its time zone.

        """
        issued = int(now.timestamp())
        claims = {
            "iss": self.email,
            "sub": self.email,
            "aud": audience,
            "iat": issued,
            "exp": issued + int(LIFETIME.total_seconds()),
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        signed = f"{_encoded(head)}.{_encoded(claims)}"
        signature = self.key.sign(signed.encode(), PKCS1v15(), SHA256())
        return f"{signed}.{_base64(signature)}"


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
