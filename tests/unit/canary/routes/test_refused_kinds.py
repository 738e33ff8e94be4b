"""Every value of Flagger's `provider` is followed, or refused with the nearest way."""

from pathlib import Path

import pytest

from canary.model.strategy import InvalidStrategy, Strategy
from canary.routes.refused import REFUSED, Refused
from canary.spec.canary import PROVIDERS, Defaults, parse_strategy
from tests.unit.manifests.flagger_objects import PROVIDERS as FLAGGERS_PROVIDERS

FLAGGERS = frozenset(FLAGGERS_PROVIDERS)
"""The values of the enum in Flagger's CRD."""
BY_NAME = {name: it for it in REFUSED for name in it.providers}


def parsed(**spec: object) -> Strategy | InvalidStrategy:
    canary = {
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 10, "maxWeight": 50},
            **spec,
        },
    }
    return parse_strategy(canary, Defaults())


def test_every_value_of_flagger_s_is_known() -> None:
    assert (set(PROVIDERS) - {""}) | set(BY_NAME) == FLAGGERS
    assert not set(PROVIDERS) & set(BY_NAME)


@pytest.mark.parametrize("provider", sorted(BY_NAME))
def test_a_provider_that_is_not_routed_is_refused_with_its_kind_and_the_nearest_way(
    provider: str,
) -> None:
    found, row = parsed(provider=provider), BY_NAME[provider]
    assert isinstance(found, InvalidStrategy)
    (said,) = found.problems
    assert said.startswith(f"provider {provider}: {row.kinds} are not split: ")
    assert said.endswith(f"{row.instead}; remove it")


def test_a_provider_that_nobody_knows_is_refused_with_those_that_are_followed() -> None:
    found = parsed(provider="knitting")
    assert isinstance(found, InvalidStrategy)
    (said,) = found.problems
    assert said.startswith("provider knitting: only the Gateway API, ")


@pytest.mark.parametrize(
    ("field", "kinds"), [("upstreamRef", "Upstreams"), ("routeRef", "ApisixRoutes")]
)
def test_a_reference_to_such_an_object_is_refused_with_its_kind(field: str, kinds: str) -> None:
    found = parsed(**{field: {"apiVersion": "v1", "kind": "X", "name": "web"}})
    assert isinstance(found, InvalidStrategy)
    (said,) = found.problems
    assert said.startswith(f"{field}: {kinds}")
    assert "HTTPRoute" in said


def test_the_page_has_a_row_for_each_and_no_other() -> None:
    page = (Path(__file__).parents[4] / "docs" / "routers.md").read_text()
    rows = page.partition("## What is not split")[2].splitlines()
    found = [line for line in rows if line.startswith("| ")][2:]
    assert found == [
        f"| {it.kinds} | {', '.join(f'`{name}`' for name in _asked_by(it))} | {it.instead} |"
        for it in REFUSED
    ]


def _asked_by(row: Refused) -> tuple[str, ...]:
    return (*row.providers, *([row.reference] if row.reference else []))
