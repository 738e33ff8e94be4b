"""Reconciles whose writes are denied, and of what is deleted: status, events, the next look."""

from datetime import timedelta

import pytest

from analyzer.loop.reconciler import Result
from canary.contract import HOLD, REFUSED, STABLE
from canary.model.state import Phase
from runtime.errors import (
    ApiError,
    Forbidden,
    Invalid,
    NamespaceEnding,
    NotFound,
    from_status,
    only_one,
)
from runtime.resources import CANARIES, DEPLOYMENTS, SERVICES
from tests.fakes import objects
from tests.fakes.bench import KEY, Bench, hash_of, held, ready, status

POLICY = "ValidatingAdmissionPolicy 'team-label' denied request: label team is missing"
QUOTA = 'deployments.apps "web-canary" is forbidden: exceeded quota'
MAKES = ("create", "deployments")
SERVICE = (SERVICES, "prod", "web-canary")
ENDING = NamespaceEnding(403, "Forbidden", "because it is being terminated")


def said(bench: Bench) -> list[str]:
    return [text for text in bench.events() if "denies" in text]


def condition(bench: Bench) -> tuple[str, str]:
    (found,) = status(bench)["conditions"]
    return found["reason"], found["message"]


async def denied(bench: Bench, error: ApiError, looks: int = 4) -> list[float]:
    """Push a version whose canary the API server denies; return the delays between the looks."""
    bench.cluster.denials[MAKES] = error
    delays = []
    for _ in range(looks):
        after = (await bench.reconcile()).requeue_after
        assert after is not None
        delays.append(after.total_seconds())
        bench.now += max(after, timedelta(seconds=1))
    return delays


@pytest.mark.parametrize(
    "error", [Invalid(422, "Invalid", POLICY), Forbidden(403, "Forbidden", QUOTA)], ids=str
)
async def test_what_is_denied_is_in_condition_and_event_once(error: ApiError) -> None:
    bench = held(Bench())
    delays = await denied(bench, error, 8)
    assert condition(bench)[0] == "WriteDenied"
    assert error.message in condition(bench)[1]
    (text,) = said(bench)
    assert error.message in text
    assert max(delays) > 2 * delays[2], "asked again ever more rarely"
    bench.cluster.denials.clear()
    await bench.reconcile()
    assert condition(bench)[0] == "WaitingForCanary"
    for _ in range(5):
        bench.now += timedelta(seconds=2)
        ready(bench)
        await bench.reconcile()
    assert bench.router.weight == 10


async def test_while_it_is_denied_the_status_is_written_once() -> None:
    bench = held(Bench())
    await denied(bench, Invalid(422, "Invalid", POLICY))
    before = status(bench)
    writes = bench.cluster.calls.count("merge_patch status")
    for _ in range(3):
        await bench.reconcile()
    assert bench.cluster.calls.count("merge_patch status") == writes
    assert status(bench) == before


async def test_a_successor_counts_on_from_what_is_stored_and_ends_the_run() -> None:
    bench = held(Bench())
    await denied(bench, Invalid(422, "Invalid", POLICY))
    successor = Bench(cluster=bench.cluster, now=bench.now + timedelta(seconds=600))
    for _ in range(3):
        await successor.reconcile()
    assert (status(successor)["phase"], condition(successor)[0]) == (
        "Failed",
        "ProgressDeadlineExceeded",
    )
    target = successor.target(KEY)
    assert target is not None
    assert REFUSED not in target["metadata"]["annotations"]
    assert POLICY in target["status"]["conditions"][0]["message"]
    assert successor.cluster.now(*SERVICE) is None, "nothing is left half made"
    result = await successor.reconcile()
    assert result.requeue_after is not None
    assert result.requeue_after <= timedelta(minutes=1)
    successor.cluster.denials.clear()
    successor.now += timedelta(minutes=1)
    for _ in range(6):
        successor.now += timedelta(seconds=2)
        await successor.reconcile()
        ready(successor)
    assert successor.router.weight == 10


async def test_events_that_are_denied_keep_nothing_from_being_done() -> None:
    bench = held(Bench())
    bench.cluster.denials["create", "events"] = Forbidden(403, "Forbidden", "exceeded quota")
    for _ in range(6):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
    assert bench.router.weight == 10


async def test_a_canary_object_that_is_denied_is_said_on_the_target() -> None:
    bench = held(Bench())
    bench.cluster.remove(CANARIES, "prod", "web")
    bench.cluster.denials["create", "canaries"] = Forbidden(403, "Forbidden", QUOTA)
    for _ in range(3):
        with pytest.raises(Forbidden):
            await bench.reconcile()
    (text,) = said(bench)
    assert QUOTA in text


async def test_what_may_not_be_read_is_said_on_the_target() -> None:
    bench = held(Bench())
    bench.cluster.denials["list", "replicasets"] = Forbidden(403, "Forbidden", "no right to list")
    for _ in range(3):
        with pytest.raises(Forbidden):
            await bench.reconcile()
    (text,) = said(bench)
    assert "no right to list" in text


def test_of_a_group_that_holds_other_faults_none_is_the_only_one() -> None:
    one = Forbidden(403, "Forbidden", "no")
    assert only_one(ExceptionGroup("tasks", [ExceptionGroup("inner", [one])])) is one
    assert only_one(ExceptionGroup("tasks", [one, ValueError()])) is None


async def test_a_verdict_stays_what_it_is_when_a_later_write_is_denied() -> None:
    bench = held(Bench())
    for _ in range(5):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
    bench.write("web:2", {"headgate.dev/abort": "now"}, paused=True)
    bench.cluster.denials["delete", "services"] = Forbidden(403, "Forbidden", "no right")
    for _ in range(4):
        bench.now += timedelta(seconds=10)
        await bench.reconcile()
    assert condition(bench)[0] == "Aborted"
    assert len(said(bench)) == 1


# --- what is being deleted -----------------------------------------------------------------------


def test_what_admission_says_of_a_namespace_that_ends_has_a_type() -> None:
    causes = [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]
    error = from_status({"code": 403, "reason": "Forbidden", "details": {"causes": causes}})
    assert isinstance(error, NamespaceEnding)
    assert not isinstance(from_status({"code": 403, "reason": "Forbidden"}), NamespaceEnding)


async def test_in_a_namespace_that_ends_nothing_is_read_written_or_said() -> None:
    bench = held(Bench())
    bench.is_ending = True
    assert await bench.reconcile() == Result()
    assert bench.cluster.calls == []


async def test_a_namespace_that_ends_between_two_writes_makes_no_noise() -> None:
    bench = held(Bench())
    bench.cluster.denials |= {MAKES: ENDING, ("create", "events"): ENDING}
    for _ in range(4):
        bench.now += timedelta(seconds=30)
        await bench.reconcile()
    assert (await bench.reconcile()).requeue_after == timedelta(seconds=30)
    assert bench.events() == []
    assert "WriteDenied" not in str(status(bench))


async def test_what_goes_with_its_namespace_during_a_reconcile_is_no_failure() -> None:
    bench = held(Bench())
    bench.cluster.denials["merge_patch status", "canaries"] = NotFound(404, "NotFound", "web")
    with pytest.raises(NotFound):
        await bench.reconcile()

    def end() -> None:
        bench.is_ending = True

    bench.cluster.denials.clear()
    bench.cluster.meanwhile = end
    bench.cluster.always = lambda: bench.cluster.denials.update(
        {("merge_patch status", "canaries"): NotFound(404, "NotFound", "web")}
    )
    assert await bench.reconcile() == Result()


async def test_a_target_that_is_being_deleted_is_gone_already() -> None:
    bench = held(Bench())
    target = bench.target(KEY)
    assert target is not None
    target["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    bench.cluster.put(DEPLOYMENTS, target)
    assert await bench.reconcile() == Result()
    assert bench.cluster.calls == ["get"]


# --- deleted and created again --------------------------------------------------------------------


@pytest.mark.parametrize("image", ["web:1", "web:2", "web:3"])
async def test_a_target_deleted_and_created_again_is_no_ungated_update(image: str) -> None:
    bench = held(Bench())
    for _ in range(5):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    await bench.reconcile()
    target = bench.cluster.put(DEPLOYMENTS, objects.deployment(image=image))
    for _ in range(12):
        bench.now += timedelta(seconds=10)
        await bench.reconcile()
    assert not [text for text in bench.events() if "released past" in text or "without" in text]
    assert status(bench)["phase"] == Phase.INITIALIZED
    assert status(bench)["run"]["target"] == target["metadata"]["uid"]
    assert bench.cluster.now(DEPLOYMENTS, "prod", "web-canary") is None
    new = objects.deployment(image="web:9")
    bench.write("web:9", {HOLD: hash_of(new), STABLE: hash_of(target)}, paused=True)
    await bench.reconcile()
    assert status(bench)["lastAppliedSpec"] == hash_of(new)


async def test_the_same_version_created_again_is_known_and_its_next_ungated_update_is_said() -> (
    None
):
    bench = Bench()
    bench.write("web:1")
    bench.cluster.put(CANARIES, objects.canary())
    for _ in range(3):
        await bench.reconcile()
    bench.cluster.remove(DEPLOYMENTS, "prod", "web")
    bench.cluster.put(DEPLOYMENTS, objects.deployment(image="web:1"))
    for _ in range(3):
        await bench.reconcile()
    bench.write("web:2")
    for _ in range(3):
        await bench.reconcile()
    assert bench.events()[-1] == "web.prod was updated without a canary"
