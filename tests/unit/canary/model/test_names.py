"""Names that fit, and stay two where there were two."""

import re
from string import ascii_lowercase, digits

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, TARGET_LABEL
from canary.model.names import canary_name, canary_of, target_label
from canary.queries.sources import pod_pattern

PART = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

parts = st.text(ascii_lowercase + digits + "-", min_size=1, max_size=63).filter(PART.fullmatch)
services = parts
deployments = st.lists(parts, min_size=1, max_size=5).map(".".join)


def a_pod_of(workload: str) -> str:
    """Name a pod as the API server does: the first 58 characters, and five at random."""
    return f"{workload}-6d4cf56db6-"[:58] + "x7k2p"


@given(deployments)
@example("a" * 253)
@example("a" * 40 + "." * 1 + "b" * 40)
def test_a_canary_of_any_name_has_one_that_fits(target: str) -> None:
    name = canary_name(target)
    assert all(PART.fullmatch(part) for part in name.split("."))
    assert len(name) <= 57
    assert name.endswith("-canary")
    assert re.fullmatch(pod_pattern(name), a_pod_of(name))


@given(services)
def test_the_canary_of_a_service_is_a_dns_label(service: str) -> None:
    assert PART.fullmatch(canary_name(service))


@given(deployments)
@example("a" * 53 + "." + "b" * 100)
def test_any_name_has_a_label_that_fits(target: str) -> None:
    label = target_label(target)
    assert VALUE.fullmatch(label)
    assert len(label) <= 63
    assert (label == target) is (len(target) <= 63)


@given(deployments, deployments)
@example("a" * 51, "a" * 52)
@example("a" * 100 + "b", "a" * 100 + "c")
def test_two_names_stay_two(one: str, other: str) -> None:
    assume(one != other)
    assert canary_name(one) != canary_name(other)
    assert target_label(one) != target_label(other)


@pytest.mark.parametrize(
    ("target", "canary"),
    [
        ("web", "web-canary"),
        ("w" * 50, "w" * 50 + "-canary"),
        ("w" * 51, "w" * 39 + "-584af44938-canary"),
    ],
)
def test_the_name_never_changes(target: str, canary: str) -> None:
    assert canary_name(target) == canary


LONG = "a" * 200


def canary(owners: list[dict[str, str]], **labels: str) -> dict[str, object]:
    return {"metadata": {"name": "x", "labels": labels, "ownerReferences": owners}}


@pytest.mark.parametrize(
    ("labels", "kind", "target"),
    [
        ({MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: target_label(LONG)}, "Deployment", LONG),
        ({MANAGED_BY_LABEL: "helm", TARGET_LABEL: target_label(LONG)}, "Deployment", ""),
        ({MANAGED_BY_LABEL: MANAGED_BY}, "Deployment", ""),
        ({MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: target_label(LONG)}, "Canary", ""),
    ],
)
def test_whose_canary_a_deployment_is(labels: dict[str, str], kind: str, target: str) -> None:
    assert canary_of(canary([{"kind": kind, "name": LONG}], **labels)) == target


def test_a_deployment_without_an_owner_is_no_canary() -> None:
    assert canary_of({"metadata": {"name": "web"}}) == ""
    marked = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
    assert canary_of({"metadata": {"name": "web", "labels": marked}}) == ""
