"""Each provider that a MetricTemplate may name is there, or says what an admin has to do."""

import sys
from datetime import timedelta

import pytest

from analyzer.adapters import clouds
from analyzer.addresses import Guard
from analyzer.fetching import Fetcher
from analyzer.ports import MetricProvider, NotInstalled, ProviderError
from canary.queries.provider import ProviderSpec
from tests.fakes.cluster import Untouched
from tests.unit.manifests.installation import MANIFESTS, documents

ASKED_AS_SOMEBODY = {"cloudwatch", "stackdriver", "splunk", "keptn", "externalmetrics"}


def all_of_them() -> dict[str, MetricProvider]:
    return clouds(Fetcher(Guard()), Untouched(), {}, cross_namespace=False)


def test_they_are_of_the_types_that_the_definition_has() -> None:
    (definition,) = documents(MANIFESTS / "crds" / "metrictemplate.yaml")
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

    assert set(all_of_them()) == ASKED_AS_SOMEBODY
    assert set(spec["provider"]["properties"]["type"]["enum"]) >= ASKED_AS_SOMEBODY
    assert not any(isinstance(it, NotInstalled) for it in all_of_them().values())


async def test_one_whose_library_is_not_installed_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)

    found = all_of_them()["cloudwatch"]

    with pytest.raises(ProviderError, match=r"headgate\[cloudwatch\]"):
        await found.query(ProviderSpec(type="cloudwatch", address=""), "[]", timedelta(minutes=1))
