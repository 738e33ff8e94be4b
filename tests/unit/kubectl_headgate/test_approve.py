"""A gate is opened by a person for what that person has seen, and for nothing else."""

import pytest

from canary.contract import HOLD, Command
from canary.model.values import Json
from kubectl_headgate.approve import approve
from kubectl_headgate.arguments import Verb, read_arguments
from kubectl_headgate.faults import Unreadable
from runtime.resources import DEPLOYMENTS
from tests.fakes.stored import Stored
from tests.harness.stage import canary, deployment
from tests.unit.kubectl_headgate.past import NOW

GATES = [
    {"name": "qa", "type": "confirm-promotion", "url": "http://qa"},
    {"name": "load", "type": "rollout", "url": "http://load"},
]
WAITS: Json = {
    "phase": "WaitingPromotion",
    "run": {"gate": {"kind": "confirm-promotion", "since": "2026-01-01T00:00:00Z"}},
}


def cluster(hold: str = "abc") -> Stored:
    stored, target = Stored(), deployment("web:2")
    target["metadata"]["annotations"] = {HOLD: hold} if hold else {}
    stored.put(DEPLOYMENTS, target)
    return stored


def written(stored: Stored) -> str | None:
    target = stored.now(DEPLOYMENTS, "prod", "web")
    assert target is not None
    found: str | None = target["metadata"]["annotations"].get(Command.APPROVE)
    return found


def own(status: Json | None = None) -> Json:
    return {**canary(webhooks=GATES), "status": status or {}}


@pytest.mark.parametrize(("gate", "value"), [("", "*"), ("*", "*"), ("qa", "qa")])
async def test_a_gate_is_opened(gate: str, value: str) -> None:
    stored = cluster()
    said = await approve(stored, own(WAITS), gate)
    assert written(stored) == value
    assert "version abc" in said


async def test_one_that_is_named_is_opened_before() -> None:
    stored = cluster()
    await approve(stored, own(), "qa")
    assert written(stored) == "qa"


@pytest.mark.parametrize(
    ("gate", "why"), [("", "no gate waits; its gates are qa"), ("load", "load is no gate")]
)
async def test_what_is_no_gate_is_said(gate: str, why: str) -> None:
    stored = cluster()
    with pytest.raises(Unreadable, match=why):
        await approve(stored, own(), gate)
    assert written(stored) is None


async def test_nothing_is_approved_where_nothing_is_held() -> None:
    with pytest.raises(Unreadable, match="no version of prod/web is held"):
        await approve(cluster(hold=""), own(WAITS), "")
    with pytest.raises(Unreadable, match="does not exist"):
        await approve(Stored(), own(WAITS), "")


async def test_another_version_that_comes_meanwhile_is_not_approved() -> None:
    stored, newer = cluster(), deployment("web:3")
    newer["metadata"]["annotations"] = {HOLD: "def"}

    def push() -> None:
        stored.put(DEPLOYMENTS, newer)

    stored.meanwhile = push
    with pytest.raises(Unreadable, match="changed meanwhile"):
        await approve(stored, own(WAITS), "")
    assert written(stored) is None


def test_the_command_line() -> None:
    options = read_arguments(["approve", "web", "qa", "-n", "prod"], NOW)
    assert (options.verb, options.name, options.gate) == (Verb.APPROVE, "web", "qa")
    assert read_arguments(["approve", "web"], NOW).gate == ""
