"""The schemas keep their promises to those who wrote objects for Flagger."""

from collections.abc import Iterator
from typing import Any

import pytest

from canary.model.state import Phase
from tests.unit.manifests.flagger_objects import (
    ACCEPTED,
    EVERY_AFFINITY_FIELD,
    EVERY_SERVICE_FIELD,
    canary,
)
from tests.unit.manifests.installation import of_kind

Json = dict[str, Any]
CRDS = {it["spec"]["names"]["kind"]: it for it in of_kind("CustomResourceDefinition")}
EXAMPLES = [
    *ACCEPTED.values(),
    canary(service=EVERY_SERVICE_FIELD, analysis={"sessionAffinity": EVERY_AFFINITY_FIELD}),
]
each = pytest.mark.parametrize("kind", ["Canary", "MetricTemplate", "AlertProvider"])


def version(kind: str) -> Json:
    only: Json
    (only,) = CRDS[kind]["spec"]["versions"]
    return only


def properties(kind: str) -> Json:
    found: Json = version(kind)["schema"]["openAPIV3Schema"]["properties"]
    return found


def in_schema(schema: Json, path: str = "") -> Iterator[str]:
    """Every field that a schema names."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from in_schema(field, f"{path}.{name}")
    if "items" in schema:
        yield from in_schema(schema["items"], path)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from in_schema(schema["additionalProperties"], f"{path}.*")


def in_object(schema: Json, value: Any, path: str = "") -> Iterator[str]:
    """Every field of a schema that a value sets."""
    for item in value if isinstance(value, list) else []:
        yield from in_object(schema["items"], item, path)
    for name, item in value.items() if isinstance(value, dict) else []:
        known = schema.get("properties", {})
        step = name if name in known else "*"
        yield f"{path}.{step}"
        yield from in_object(
            known.get(name, schema.get("additionalProperties")), item, f"{path}.{step}"
        )


def test_names_are_those_of_flagger() -> None:
    assert {it["metadata"]["name"] for it in CRDS.values()} == {
        "canaries.flagger.app",
        "metrictemplates.flagger.app",
        "alertproviders.flagger.app",
    }


@each
def test_one_version_is_served_and_stored(kind: str) -> None:
    only = version(kind)

    assert (only["name"], only["served"], only["storage"]) == ("v1beta1", True, True)
    assert only["subresources"] == {"status": {}}
    assert CRDS[kind]["spec"]["scope"] == "Namespaced"


def test_get_canary_shows_what_it_always_showed() -> None:
    columns = version("Canary")["additionalPrinterColumns"]

    assert [it["name"] for it in columns if not it.get("priority")] == [
        "Status",
        "Weight",
        "LastTransitionTime",
    ]


@each
def test_every_field_of_a_spec_is_in_an_object_that_is_tried_on_a_cluster(kind: str) -> None:
    schema = properties(kind)["spec"]
    tried = {
        path
        for example in EXAMPLES
        if example["kind"] == kind
        for path in in_object(schema, example["spec"])
    }
    words = (".exact", ".prefix", ".suffix", ".regex")

    assert {path for path in in_schema(schema) if not path.endswith(words)} <= tried


@each
def test_everything_that_a_team_writes_has_a_bound(kind: str) -> None:
    assert list(unbounded(properties(kind)["spec"])) == []


def unbounded(schema: Json, path: str = "") -> Iterator[str]:
    """Every field that takes as much as an object can hold."""
    text = schema.get("type") == "string" or "x-kubernetes-int-or-string" in schema
    if text and not {"maxLength", "enum"} & schema.keys():
        yield path
    if schema.get("type") == "array":
        yield from () if "maxItems" in schema else (path,)
        yield from unbounded(schema["items"], f"{path}[]")
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from () if "maxProperties" in schema else (path,)
        yield from unbounded(more, f"{path}.*")
    for name, field in schema.get("properties", {}).items():
        yield from unbounded(field, f"{path}.{name}")


@each
def test_a_spec_is_closed(kind: str) -> None:
    assert "x-kubernetes-preserve-unknown-fields" not in str(properties(kind)["spec"])


def test_status_takes_every_phase_of_ours_and_any_record_of_a_run() -> None:
    status = properties("Canary")["status"]["properties"]

    assert set(Phase) <= set(status["phase"]["enum"])
    assert status["run"]["x-kubernetes-preserve-unknown-fields"] is True
    assert status["observedGeneration"]["type"] == "integer"


def test_an_analysis_that_was_taken_out_is_one_that_leaves_all_open() -> None:
    analysis = properties("Canary")["spec"]["properties"]["analysis"]
    assert analysis["default"] == {}
    assert not analysis.get("nullable")
