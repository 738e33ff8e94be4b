"""Where a metric is asked for: the server that a MetricTemplate names."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from canary.model.values import Json

PROMETHEUS: Final = "prometheus"
"""`MetricTemplate.spec.provider.type` of what speaks PromQL, and of metrics without a template."""
GRAPHITE: Final = "graphite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """Where to ask: `MetricTemplate.spec.provider` with its Secret's data read (decoded).

    `address` is "" where the service's own is meant. `asker` is the namespace whose question it is,
    "" where it is that of several: no namespace's slow queries keep another's from being asked. It
    makes no other server of it.
    """

    type: str
    address: str
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify_tls: bool = True
    region: str = ""
    asker: str = field(default="", compare=False)

    @property
    def writes_seconds(self) -> bool:
        """Whether durations are written in seconds: Graphite has no `m` for minutes."""
        return self.type == GRAPHITE

    @property
    def chooses_the_way(self) -> bool:
        """Whether it says where or how a request goes, which is not for what another has signed."""
        return bool(self.address or self.headers or not self.verify_tls)

    @property
    def speaks_promql(self) -> bool:
        """Whether what a query means can be read in it."""
        return self.type == PROMETHEUS


def provider_spec(provider: Json, default_address: str, asker: str) -> ProviderSpec:
    """Read `MetricTemplate.spec.provider`, whose Secret is yet to be read.

    Args:
        provider: as the API server stores it.
        default_address: of the Prometheus that is asked where none is named.
        asker: the namespace whose question it is.

    """
    headers = provider.get("headers") or {}
    default = default_address if provider["type"] == PROMETHEUS else ""
    return ProviderSpec(
        type=provider["type"],
        address=provider.get("address") or default,
        headers={name: tuple(values) for name, values in headers.items()},
        verify_tls=not provider.get("insecureSkipVerify"),
        region=provider.get("region") or "",
        asker=asker,
    )


def with_secret(spec: ProviderSpec, secret: Json) -> ProviderSpec:
    """Return where to ask with the data of a Secret, as the API server stores it.

    What of it is no text is left out: no header could carry it.
    """
    data = {name: base64.b64decode(it) for name, it in (secret.get("data") or {}).items()}
    texts = {name: it.decode(errors="ignore") for name, it in data.items()}
    return replace(
        spec, secret={name: it for name, it in texts.items() if it.encode() == data[name]}
    )
