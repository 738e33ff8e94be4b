"""Canaries and templates as far as their schema lets them through: followed, or said why not."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import orjson
import pytest
from hypothesis import strategies as st

from analyzer.loop.following import (
    essence_of_canary,
    essence_of_route,
    is_marked,
    label_of_namespace,
    least_of_canary,
    without_mark,
)
from canary.contract import AUTO_LABEL, AUTO_VALUE, CANARY_ANNOTATIONS, SPLIT
from canary.model.names import canary_name
from canary.model.strategy import InvalidStrategy, Kind
from canary.model.values import Json, Key
from canary.queries.metric import template_query
from canary.queries.provider import provider_spec, with_secret
from canary.queries.templates import TemplateError
from canary.routes.from_service import beside_own, route_from_service
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.defaults import recorded, remembered
from canary.spec.in_force import in_force
from canary.spec.known import strategy_of
from canary.spec.made import LAST_APPLIED, outdone, preferred, renewed, rivals, whose
from runtime.kept import Packed
from tests.fakes.fuzzed import DEEP, VALUES, Property
from tests.fakes.storable import drawn_by, metadata, schema_of

KEY: Final = Key(namespace="prod", name="web")
NOTES: Final = st.sampled_from([*CANARY_ANNOTATIONS, LAST_APPLIED, "x"])
CANARY: Final = schema_of("Canary")["properties"]
TEMPLATE: Final = schema_of("MetricTemplate")["properties"]
FORMER: Final[Json] = {
    "interval": "1m",
    "threshold": 5,
    "stepWeights": [5, 20],
    "metrics": [
        {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}},
    ],
}


@st.composite
def canaries(draw: st.DrawFn) -> Json:
    """Draw a Canary as it is stored."""
    found: Json = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": draw(metadata(NOTES)),
        "spec": draw(drawn_by(CANARY["spec"])),
    }
    if draw(st.booleans()):
        found["status"] = draw(drawn_by(CANARY["status"]))
    if not draw(st.integers(0, 3)):
        found["metadata"]["labels"] = {AUTO_LABEL: AUTO_VALUE}
        found["spec"] = {"targetRef": {"kind": "Deployment", "name": "web"}, "analysis": FORMER}
        found["spec"]["analysis"] = draw(st.sampled_from([{}, FORMER]))
    if not draw(st.integers(0, 3)):
        notes = found["metadata"].setdefault("annotations", {})
        notes[LAST_APPLIED] = draw(DEEP | VALUES.map(lambda it: orjson.dumps(str(it)).decode()))
    return found


def is_followed_or_told(canary: Json) -> None:
    """A Canary is a strategy, or has words on why it is none."""
    strategy = parse_strategy(canary, Defaults())
    orjson.dumps(in_force(strategy))
    if isinstance(strategy, InvalidStrategy):
        assert all(strategy.problems)
        return
    growing = [step.traffic.weight for step in strategy.steps if not step.traffic.mirror]
    if strategy.kind is Kind.CANARY:
        assert 1 <= growing[0] <= growing[-1] <= 100
        assert growing == sorted(set(growing))
    assert strategy.steps[-1].traffic.weight >= 1
    assert strategy.interval >= Defaults().min_interval
    assert timedelta(0) <= strategy.progress_deadline <= timedelta(days=400)
    assert 0 <= strategy.ready_percent <= 100
    if strategy.own_route is not None:
        owner = {"kind": "Canary", "name": "web", "uid": "u"}
        orjson.dumps([route_from_service(KEY, strategy, owner), beside_own(KEY, strategy, owner)])
    for metric in strategy.metrics:
        if isinstance(metric.source, str):
            spec = provider_spec({"type": "prometheus"}, "http://p", "prod")
            with suppress(TemplateError):
                template_query(KEY, strategy, metric, str(metric.source), spec)


def is_remembered_as_it_is_read(canary: Json) -> None:
    """What is remembered of a Canary is what reading it would say, with all its fields."""
    texts = recorded(Defaults(threshold=7))
    for _ in range(2):
        assert strategy_of(canary, None, Defaults()) == parse_strategy(canary, Defaults())
        began_with = remembered(texts, Defaults())
        assert strategy_of(canary, texts, Defaults()) == parse_strategy(canary, began_with)


def is_somebodys(canary: Json) -> None:
    """Whose it is, which of two is in force, and what is kept of one can always be told."""
    whose(canary)
    patch = renewed(canary)
    assert patch is None or orjson.dumps(patch)
    other = {**canary, "metadata": {**canary["metadata"], "name": canary_name("x")}}
    assert preferred([canary, other]) in (canary, other)
    rivals([canary, other])
    outdone([canary, other])
    kept = Packed(10_000, largest=400, less=essence_of_canary, least=least_of_canary)
    kept.put(("prod", "web"), canary)
    again = kept["prod", "web"]
    assert kept.is_whole(("prod", "web"))
    assert again["metadata"]["name"] == canary["metadata"]["name"]
    assert again == canary or essence_of_canary(again)["spec"]["targetRef"]
    is_marked(canary)


def defaults_are_remembered(texts: dict[str, str]) -> None:
    """What a run remembers of defaults is read, or what holds now is."""
    found = remembered(texts, Defaults())
    assert remembered(recorded(found), Defaults()) == found


def is_asked_or_told(template: Json) -> None:
    """A template is asked somewhere, or is refused in words."""
    spec = provider_spec(template["provider"], "http://p", "prod")
    found = with_secret(spec, {"data": {"token": "/w==", "username": "YQ=="}})
    assert found.secret == {"username": "a"}


def is_kept_small(route: Json) -> None:
    """What is kept of a route or a namespace is small, whatever it is."""
    essence = essence_of_route(route)
    assert set(essence["metadata"].get("annotations", {})) <= {SPLIT}
    assert len(orjson.dumps(without_mark(essence))) < 2_000
    label_of_namespace(route)
    kept = Packed(10_000, largest=200, least=without_mark)
    kept.put(("prod", "web"), essence)
    assert kept.is_whole(("prod", "web"))
    assert kept["prod", "web"]["spec"] == essence["spec"]


TEXTS: Final = st.sampled_from(["interval", "threshold", "stepWeights", "minSuccessRate", "bake"])
PROPERTIES: Final[dict[str, Property[Any]]] = {
    "followed": Property(canaries(), is_followed_or_told, few=60),
    "remembered": Property(canaries(), is_remembered_as_it_is_read, few=40),
    "somebodys": Property(canaries(), is_somebodys, few=40),
    "defaults": Property(st.dictionaries(TEXTS, VALUES), defaults_are_remembered, few=50),
    "template": Property(drawn_by(TEMPLATE["spec"]), is_asked_or_told, few=40),
    "route": Property(
        st.fixed_dictionaries(
            {
                "kind": st.just("HTTPRoute"),
                "metadata": metadata(st.sampled_from([SPLIT, "x"])),
                "spec": VALUES,
            }
        ),
        is_kept_small,
        few=40,
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_object_is_followed_or_told(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_objects_are_followed_or_told(what: str) -> None:
    PROPERTIES[what].try_many()
