"""The page of Flagger's fields has each field of the schemas once, and says what really is so."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from canary.model.strategy import InvalidStrategy, Strategy
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults
from tests.unit.manifests.flagger_objects import EVERY_SERVICE_FIELD, canary
from tests.unit.manifests.test_crds import in_schema, properties

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "flagger-fields.md").read_text()
ROW = re.compile(r"^\| `(?P<field>[^`]+)` \| (?P<verdict>[a-z ]+) \|.*\| `(?P<test>[^`]+)` \|$")
KINDS = ("Canary", "MetricTemplate", "AlertProvider")
VERDICTS = {"same", "better", "different", "refused", "said"}
"""None is passed over in silence."""

Json = dict[str, Any]
REF = {"apiVersion": "v1", "kind": "Ingress", "name": "web"}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
SCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "web"}
REFUSED: dict[str, Json] = {
    "targetRef.kind": canary(targetRef={**TARGET, "kind": "DaemonSet"}),
    "autoscalerRef.kind": canary(autoscalerRef={**SCALER, "kind": "ScaledObject"}),
    "autoscalerRef.primaryScalerQueries": canary(
        autoscalerRef={**SCALER, "kind": "ScaledObject", "primaryScalerQueries": {"a": "b"}}
    ),
    "routeRef.**": canary(routeRef={**REF, "kind": "ApisixRoute"}),
    "upstreamRef.**": canary(upstreamRef={**REF, "kind": "Upstream"}),
    **{
        f"service.match.{name}": canary(
            service={"port": 80, "match": [{name.removesuffix(".**"): found}]}
        )
        for name, found in {
            "scheme.**": {"exact": "https"},
            "authority.**": {"exact": "web"},
            "withoutHeaders.**": {"x": {"exact": "y"}},
            "ignoreUriCase": True,
            "port": 80,
            "gateways": ["mesh"],
            "sourceLabels": {"a": "b"},
            "sourceNamespace": "n",
        }.items()
    },
    **{
        f"service.match.method.{how}": canary(
            service={"port": 80, "match": [{"method": {how: "GET"}}]}
        )
        for how in ("prefix", "regex")
    },
}
"""For each row that says so, and is of a Canary, a value that is refused."""
SAID: dict[str, Json] = {
    "revertOnDeletion": canary(revertOnDeletion=True),
}
SILENT: dict[str, Json] = {
    "autoscalerRef": canary(
        autoscalerRef={**SCALER, "primaryScalerReplicas": {"minReplicas": 1, "maxReplicas": 2}}
    ),
    "service.portName": canary(service={"port": 80, "portName": "http"}),
    "service.portDiscovery": canary(service={"port": 80, "portDiscovery": True}),
    "service.headless": canary(service={"port": 80, "headless": True}),
}
"""What asks for nothing that is not so anyway."""


def rows(kind: str) -> list[re.Match[str]]:
    section = PAGE.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    found = [ROW.match(line) for line in lines]
    assert all(found), [line for line, one in zip(lines, found, strict=True) if one is None]
    return [one for one in found if one is not None]


def verdict(wanted: str) -> list[str]:
    return [it["field"] for it in rows("Canary") if it["verdict"] == wanted]


def covers(row: str, field: str) -> bool:
    below = row.removesuffix("**")
    return field.startswith(below) if row.endswith(".**") else field == row


def leaves(kind: str) -> set[str]:
    fields = {path.removeprefix(".") for path in in_schema(properties(kind)["spec"])}
    return {one for one in fields if not any(it.startswith(f"{one}.") for it in fields)}


def followed(obj: Json) -> Strategy | InvalidStrategy:
    return parse_strategy({**obj, "metadata": {"name": "web", "namespace": "prod"}}, Defaults())


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_one_row(kind: str) -> None:
    named = [it["field"] for it in rows(kind)]
    times = {field: [row for row in named if covers(row, field)] for field in leaves(kind)}

    assert {field: found for field, found in times.items() if len(found) != 1} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_has_a_field(kind: str) -> None:
    fields = leaves(kind)
    named = [it["field"] for it in rows(kind)]

    assert [row for row in named if not any(covers(row, field) for field in fields)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_verdict_is_one_of_those_that_are_explained(kind: str) -> None:
    assert {it["verdict"] for it in rows(kind)} <= VERDICTS
    assert all(f"| {one} |" in PAGE for one in VERDICTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_test_that_is_named_is_there(kind: str) -> None:
    assert [it["test"] for it in rows(kind) if not is_there(it["test"])] == []


def is_there(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / path
    if not (path.startswith("tests/") and file.is_file()):
        return False
    names = {
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return name in names if name else any(one.startswith("test_") for one in names)


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "tests/unit/docs/test_fields_of_flagger.py"
    assert is_there(f"{here}::test_every_field_has_one_row")
    assert not is_there(f"{here}::test_nothing")
    assert not is_there("tests/unit/docs/test_nowhere.py")


def test_what_is_refused_is_refused_with_a_message() -> None:
    assert set(verdict("refused")) == set(REFUSED)
    for field, obj in REFUSED.items():
        found = followed(obj)
        assert isinstance(found, InvalidStrategy), field
        root = field.removesuffix(".**").split(".")[-1]
        words = {root, "ScaledObject", "method"}
        assert any(word in text for text in found.problems for word in words), found


def test_what_is_passed_over_is_said() -> None:
    for row in verdict("said"):
        field = row.removesuffix(".**")
        service, _, name = field.partition(".")
        obj = SAID.get(field)
        if obj is None:
            assert service == "service", field
            obj = canary(service={"port": 80, name: EVERY_SERVICE_FIELD[name]})
        found = followed(obj)
        assert isinstance(found, Strategy), found
        assert field in found.ignored


@pytest.mark.parametrize("obj", SILENT.values(), ids=SILENT)
def test_what_makes_no_difference_makes_none(obj: Json) -> None:
    found = followed(obj)
    usual = followed(canary(**{k: {"port": 80} for k in ("service",) if k in obj["spec"]}))

    assert found == usual
