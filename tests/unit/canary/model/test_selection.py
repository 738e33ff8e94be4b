"""Selectors: by the rules of each kind, and the same rules written for the API server."""

import re

import pytest
from hypothesis import given

from canary.model.selection import (
    NOTHING,
    Selection,
    Selector,
    as_text,
    disruption_budget_selector,
    equal_to,
    label_selector,
    network_policy_selector,
    selector_of,
    selects,
    service_selector,
    workload_selector,
)
from tests.unit.canary.objects import drawn
from tests.unit.canary.objects.drawn import Json

ONE = re.compile(
    r"!(?P<absent>[^,\s]+)"
    r"|(?P<key>[^,\s=!]+)"
    r"(?P<rest>=[^,]*|!=[^,]*| in \([^)]*\)| notin \([^)]*\))?"
)


def read_back(text: str, worn: dict[str, str]) -> bool:
    """Tell what the API server would select by a list selector, read in the plainest way."""
    found = [match for match in ONE.finditer(text) if match[0]]
    assert ",".join(match[0] for match in found) == text
    return all(meets(match, worn) for match in found)


def meets(match: re.Match[str], worn: dict[str, str]) -> bool:
    if match["absent"]:
        return match["absent"] not in worn
    key, rest = match["key"], match["rest"] or ""
    if not rest:
        return key in worn
    listed = re.search(r"\((.*)\)", rest)
    values = listed[1].split(",") if listed else [rest.lstrip("!=")]
    if rest.startswith(("!=", " notin")):
        return key not in worn or worn[key] not in values
    return key in worn and worn[key] in values


@given(drawn.label_selectors, drawn.labels)
def test_a_label_selector_selects_what_the_api_says(selector: Json, worn: dict[str, str]) -> None:
    assert selects(label_selector(selector), worn) is drawn.selected(selector, worn)


@given(drawn.label_selectors, drawn.labels)
def test_its_text_selects_the_same(selector: Json, worn: dict[str, str]) -> None:
    read = label_selector(selector)
    assert isinstance(read, Selector)
    assert read_back(as_text(read), worn) is selects(read, worn)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, ""),
        ({"matchLabels": {"tier": "front", "app": "web"}}, "app=web,tier=front"),
        ({"matchLabels": {"app": ""}}, "app="),
        (
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]},
            "app in (api,web)",
        ),
        (
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api", ""]}]},
            "app notin (,api)",
        ),
        (
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]},
            "app!=api",
        ),
        (
            {
                "matchExpressions": [
                    {"key": "app", "operator": "Exists"},
                    {"key": "track", "operator": "DoesNotExist"},
                ]
            },
            "!track,app",
        ),
    ],
)
def test_the_text_is_what_kubectl_takes(selector: Json, text: str) -> None:
    read = label_selector(selector)
    assert isinstance(read, Selector)
    assert as_text(read) == text


ANY = {"app": "web"}


@pytest.mark.parametrize(
    ("selection", "any_pod"),
    [
        (label_selector(None), False),
        (label_selector({}), True),
        (label_selector({"matchLabels": None, "matchExpressions": None}), True),
        (workload_selector({"spec": {}}), False),
        (service_selector(drawn.service("s", None)), False),
        (service_selector(drawn.service("s", {})), False),
        (service_selector({"spec": {}}), False),
        (service_selector(drawn.service("s", ANY, type="ExternalName")), False),
        (service_selector(drawn.service("s", ANY, clusterIP="None")), True),
        (service_selector(drawn.service("s", ANY)), True),
        (network_policy_selector({"spec": {}}), True),
        (network_policy_selector({"spec": {"podSelector": {}}}), True),
        (disruption_budget_selector({"spec": {}}), False),
        (disruption_budget_selector({"spec": {"selector": None}}), False),
        (disruption_budget_selector({"spec": {"selector": {}}}), True),
    ],
)
def test_what_is_empty_and_what_is_absent_differs_by_kind(
    selection: Selection, *, any_pod: bool
) -> None:
    assert selects(selection, ANY) is any_pod


def test_an_operator_that_is_not_known_is_no_selector() -> None:
    with pytest.raises(ValueError, match="Gt"):
        label_selector({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]})


def test_nothing_selects_nothing_and_everything_everything() -> None:
    assert not selects(NOTHING, {})
    assert selects(equal_to({}), {})


def test_the_labels_that_everything_selected_has() -> None:
    found = label_selector(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "Exists"},
                {"key": "track", "operator": "NotIn", "values": ["canary"]},
                {"key": "name", "operator": "DoesNotExist"},
            ],
        }
    )
    assert isinstance(found, Selector)
    assert found.worn == {"app", "tier"}
    assert found.keys == {"app", "tier", "track", "name"}


@given(drawn.label_selectors, drawn.labels)
def test_a_text_reads_as_what_it_was_written_from(selector: Json, worn: dict[str, str]) -> None:
    written = label_selector(selector)
    assert isinstance(written, Selector)
    read = selector_of(as_text(written))
    # A set with an empty value in it is a form that is not read, and asked for every time.
    if read is None:
        assert re.search(r"in \(,|,,|,\)", as_text(written))
        return
    assert selects(read, worn) is selects(written, worn)
    if read.anchor is not None and selects(read, worn):
        key, value = read.anchor
        assert worn[key] == value


@pytest.mark.parametrize(
    "text", ["app in (", "app in ()", "app==web==api", "a b", ",", "=web", "!"]
)
def test_a_text_of_another_form_is_not_read(text: str) -> None:
    assert selector_of(text) is None
