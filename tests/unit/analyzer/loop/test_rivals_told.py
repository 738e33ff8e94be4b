"""What is said of a Canary that is not in force costs nobody a run."""

from typing import Any

from analyzer.loop.following import essence_of_canary
from canary.model.state import Phase, State
from canary.model.values import Json
from canary.objects.status import state_from_status, status_from_state
from canary.spec.made import preferred
from runtime.errors import Invalid
from runtime.resources import CANARIES, Resource
from tests.fakes import objects
from tests.fakes.bench import Bench, held, ready, status
from tests.fakes.stored import Stored


def canary(name: str, made_at: str, **metadata: Any) -> Json:
    found = objects.canary()
    found["metadata"] |= {"name": name, "uid": f"uid-{name}", "creationTimestamp": made_at}
    found["metadata"] |= metadata
    return found


def test_one_that_is_too_large_to_be_kept_is_no_elder_for_it() -> None:
    elder = canary("web", "2026-01-01T00:00:00Z")
    younger = canary("a", "2026-01-02T00:00:00Z")
    going = canary("b", "2025-01-01T00:00:00Z", deletionTimestamp="2026-01-03T00:00:00Z")
    other = canary("c", "2025-01-01T00:00:00Z")
    other["spec"]["targetRef"]["kind"] = "DaemonSet"
    for beside in (younger, going, other):
        assert preferred([essence_of_canary(beside), elder]) is elder
        assert preferred([elder, essence_of_canary(beside)]) is elder


async def looks(bench: Bench, times: int) -> None:
    for _ in range(times):
        await bench.reconcile()
        ready(bench)


async def test_a_record_of_a_run_is_not_written_over() -> None:
    bench = held(Bench())
    rival = canary("z", "2026-01-02T00:00:00Z")
    state = State(phase=Phase.PROMOTING, candidate="v2", stable="v1")
    rival["status"] = status_from_state(state, previous={}, generation=1, now=bench.now)
    bench.cluster.put(CANARIES, rival)
    await looks(bench, 4)
    stored = bench.cluster.now(CANARIES, "prod", "z")
    assert stored is not None
    assert state_from_status(stored["status"]).phase is Phase.PROMOTING
    assert any("Canary z are both for" in message for message in bench.events())


class Denying(Stored):
    """Takes no status of the rival's."""

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, *args: Any, **named: Any
    ) -> Json:
        if resource == CANARIES and name == "z":
            raise Invalid(422, "Invalid", "a policy of the cluster's")
        return await super().merge_patch(resource, namespace, name, *args, **named)


async def test_one_that_cannot_be_written_stops_no_run() -> None:
    bench = held(Bench(cluster=Denying()))
    bench.cluster.put(CANARIES, canary("z", "2026-01-02T00:00:00Z"))
    await looks(bench, 6)
    assert status(bench)["canaryWeight"] == 10
