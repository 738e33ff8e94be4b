"""Whom a MetricTemplate asks: what shows by itself that it can ask nobody, or is passed over.

What each needs is in docs/flagger.md. Whether a Secret is there, and who answers, only a run knows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from canary.model.values import Json
from canary.validation.urls import problem_with

_ADDRESS: Final = "address"
_SECRET: Final = "secretRef"  # noqa: S105 - the name of a field
_REGION: Final = "region"
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "graphite": (_ADDRESS,),
    "influxdb": (_ADDRESS,),
    "dynatrace": (_ADDRESS, _SECRET),
    "splunk": (_ADDRESS, _SECRET),
    "datadog": (_SECRET,),
    "newrelic": (_SECRET,),
    "stackdriver": (_SECRET,),
    "cloudwatch": (_REGION,),
}
"""Fields without which there is nobody to ask."""
_WAYS: Final = ("headers", "insecureSkipVerify")
_OF_THE_CLUSTER: Final = {"keptn": (_ADDRESS, _SECRET, *_WAYS)}
"""Fields that mean nothing to a provider that is asked of the API server."""
_WRITE: Final = {
    _ADDRESS: "its URL in provider.address",
    _SECRET: "the name of a Secret with its keys in provider.secretRef.name",
    _REGION: "one such as eu-central-1 in provider.region",
}
_QUERIES: Final = {
    "keptn": (
        re.compile(r"(keptnmetrics?|analys[ei]s)(/[^/]+){2}(/.*)?", re.IGNORECASE | re.DOTALL),
        "keptnmetric/<namespace>/<name> or analysis/<namespace>/<definition>",
    ),
    "externalmetrics": (
        re.compile(r"([^/?]+/)?[^/?]+(\?.*)?", re.DOTALL),
        "<namespace>/<metric>?labelSelector=<as in a URL>",
    ),
}


def unasked(provider: Json) -> Iterator[str]:
    """Say why nobody can be asked, and how to mend it.

    Args:
        provider: `spec.provider` of a MetricTemplate.

    """
    kind = str(provider.get("type") or "")
    given = {name for name in _WRITE if _value(provider, name)}
    for name in _NEEDED.get(kind, ()):
        if name not in given:
            yield f"provider.{name}: {kind} needs one; write {_WRITE[name]}"
    # Splunk's streams are asked over HTTP, at the address that belongs to them.
    address = re.sub(r"^ws(s?):", r"http\1:", _value(provider, _ADDRESS).strip())
    if address and problem_with(address):
        yield f"provider.address {problem_with(address)}"
    own = _ADDRESS in given or any(provider.get(way) for way in _WAYS)
    if kind == "cloudwatch" and own and _SECRET not in given:
        yield "provider: an address, headers or insecureSkipVerify need a secretRef of their own"
    if kind == "externalmetrics" and _SECRET in given and _ADDRESS not in given:
        yield "provider.secretRef: is for an address, which is not given; leave it out"


def strange_query(provider: Json, query: str) -> Iterator[str]:
    """Say of a query that it is none of its provider's, where its form shows that.

    Args:
        provider: `spec.provider` of a MetricTemplate.
        query: its query, with its actions.

    """
    form, example = _QUERIES.get(str(provider.get("type") or ""), (None, ""))
    if form is not None and not form.fullmatch(query.strip()):
        yield f"query: is none of {provider['type']}; write it as {example}"


def passed_over(provider: Json) -> Iterator[str]:
    """Name what is not followed of a provider.

    Args:
        provider: `spec.provider` of a MetricTemplate.

    """
    kind = str(provider.get("type") or "")
    for name in _OF_THE_CLUSTER.get(kind, ()):
        if _value(provider, name):
            yield f"provider.{name}: {kind} is read of the API server; it is passed over"
    if kind != "cloudwatch" and _value(provider, _REGION):
        yield "provider.region: is CloudWatch's alone; it is passed over"


def _value(provider: Json, name: str) -> str:
    if name == _SECRET:
        return str((provider.get(name) or {}).get("name") or "")
    return str(provider.get(name) or "")
