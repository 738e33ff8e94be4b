"""A share by the number of pods, as it is stored: labels of pods, and nothing else is written."""

from datetime import timedelta

import pytest

from analyzer.loop.sweeper import Anywhere, Sweeper
from analyzer.routers.by_pods import ByPods
from analyzer.routers.chosen import Chosen
from canary.contract import JOINED, JOINS, TARGET_LABEL
from canary.model.joining import Joining
from canary.model.strategy import Kind, Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from canary.objects.joining import joined_to, joining, joining_of, leaving
from canary.spec.steps import linear
from runtime.errors import Conflict, Forbidden
from runtime.resources import DEPLOYMENTS, ENDPOINTSLICES, PODS, SERVICES
from tests.fakes.stored import Stored

WEB = Key(namespace="prod", name="web")
BY_PODS = Strategy(
    interval=timedelta(minutes=1),
    threshold=1,
    steps=linear((50,)),
    kind=Kind.PODS,
    service_name="web",
)
NOTE = '{"in":{"app":"web"},"out":{"app":"web-canary","track":null},"target":"web"}'
APART = {"app": "web-canary", "tier": "front-canary", TARGET_LABEL: "web"}
IN = {"app": "web", "tier": "front-canary", TARGET_LABEL: "web", JOINED: "web"}


def pod(name: str, labels: dict[str, str], *, ready: bool = True, note: str = NOTE) -> Json:
    said = "True" if ready else "False"
    return {
        "metadata": {
            "name": name,
            "namespace": "prod",
            "labels": dict(labels),
            "annotations": {JOINS: note} if note else {},
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": said}]},
    }


def cluster(*, stable: int = 4, canary: int = 4) -> Stored:
    store = Stored()
    store.put(
        SERVICES,
        {"metadata": {"name": "web", "namespace": "prod"}, "spec": {"selector": {"app": "web"}}},
    )
    for number in range(stable):
        store.put(PODS, pod(f"web-{number}", {"app": "web", "tier": "front"}, note=""))
    for number in range(canary):
        store.put(PODS, pod(f"web-canary-{number}", APART))
    return store


def worn(store: Stored) -> dict[str, dict[str, str]]:
    return {
        name: obj["metadata"]["labels"]
        for (plural, _, name), obj in store.objects.items()
        if plural == PODS.plural and name.startswith("web-canary-")
    }


def inside(store: Stored) -> set[str]:
    return {
        name.removeprefix("web-canary-") for name, labels in worn(store).items() if labels == IN
    }


async def test_as_many_pods_join_as_the_share_comes_to_and_leave_as_they_came() -> None:
    store = cluster()
    router = ByPods(store)
    before = worn(store)
    for weight, pods, share in ((20, 1, 20), (33, 1, 20), (34, 2, 33), (50, 4, 50), (10, 1, 20)):
        await router.write_split(WEB, BY_PODS, Traffic(weight))
        assert len(inside(store)) == pods
        found = await router.read_split(WEB, BY_PODS)
        assert (found.weight, found.routes, found.lacks(Traffic(weight))) == (share, 1, False)
        stands = worn(store)
        await router.write_split(WEB, BY_PODS, Traffic(weight))
        assert worn(store) == stands
    await router.write_split(WEB, BY_PODS, NOTHING)
    assert worn(store) == before
    assert (await router.read_split(WEB, BY_PODS)).traffic == NOTHING


async def test_nothing_but_pods_of_the_canary_is_written() -> None:
    store = cluster()
    others = {place: obj for place, obj in store.objects.items() if "canary" not in place[2]}
    router = ByPods(store)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    await router.clean(WEB)
    assert others.items() <= store.objects.items()
    assert {call.split()[0] for call in store.calls} == {"get", "list", "merge_patch"}


async def test_who_is_too_many_leaves_before_another_joins() -> None:
    store = cluster()
    router = ByPods(store)
    await router.write_split(WEB, BY_PODS, Traffic(20))
    store.put(PODS, pod("web-canary-0", IN, ready=False))
    most: list[int] = []
    store.always = lambda: most.append(len(inside(store)))
    await router.write_split(WEB, BY_PODS, Traffic(20))
    assert inside(store) == {"1"}
    assert most == [1, 0]


@pytest.mark.parametrize(
    ("part", "said"),
    [("metadata", {"deletionTimestamp": "2026-01-01T00:00:00Z"}), ("status", {"phase": "Failed"})],
    ids=["deleted", "ended"],
)
async def test_a_pod_that_goes_does_not_join_and_counts_for_nothing(part: str, said: Json) -> None:
    store = cluster(canary=1)
    leaves = pod("web-canary-0", APART)
    leaves[part] |= said
    store.put(PODS, leaves)
    router = ByPods(store)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    assert inside(store) == set()
    assert (await router.read_split(WEB, BY_PODS)).lacks(Traffic(50))


def test_a_pod_that_is_being_deleted_is_given_no_labels_and_is_no_member() -> None:
    leaves, service = pod("web-canary-0", APART), {"spec": {"selector": {"app": "web"}}}
    assert joining(leaves, "web") is not None
    assert joining_of(service, [], [leaves]).members
    leaves["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert joining(leaves, "web") is None
    assert joining_of(service, [], [leaves]) == Joining(members=(), stable=0)


async def test_one_that_goes_meanwhile_is_no_fault() -> None:
    store = cluster()
    store.meanwhile = lambda: store.remove(PODS, "prod", "web-canary-0")
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(34))
    assert inside(store) == {"1"}
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(34))
    assert inside(store) == {"1", "2"}


async def test_one_that_is_written_meanwhile_is_written_after_it() -> None:
    store = cluster()

    def touched() -> None:
        found = store.now(PODS, "prod", "web-canary-0")
        assert found is not None
        found["metadata"]["labels"]["team"] = "shop"
        store.put(PODS, found)

    store.meanwhile = touched
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(20))
    assert worn(store)["web-canary-0"] == {**IN, "team": "shop"}


@pytest.mark.parametrize("error", [Forbidden(403, "Forbidden", "x"), Conflict(409, "", "x")])
async def test_a_write_that_is_denied_is_told(error: Forbidden | Conflict) -> None:
    store = cluster()
    store.denials["merge_patch", "pods"] = error
    with pytest.raises(type(error)):
        await ByPods(store).write_split(WEB, BY_PODS, Traffic(20))


async def test_pods_of_others_in_the_service_are_counted_with_the_stable() -> None:
    store = cluster()
    store.put(PODS, pod("batch-1", {"app": "web"}, note=""))
    store.put(PODS, pod("batch-2", {"app": "web"}, note="", ready=False))
    found = (await ByPods(store).read_split(WEB, BY_PODS)).joining
    assert found is not None
    assert found.stable == 5


async def test_pods_of_another_workload_with_the_canary_s_label_are_left_alone() -> None:
    store = cluster()
    owner = {"kind": "ReplicaSet", "name": "job-5d9f7c8b9d", "uid": "x", "controller": True}
    stranger = pod("job-1", APART)
    stranger["metadata"]["ownerReferences"] = [owner]
    store.put(PODS, stranger)
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(50))
    kept = store.now(PODS, "prod", "job-1")
    assert kept is not None
    assert kept["metadata"]["labels"] == APART


def put_slice(store: Stored, *names: str) -> None:
    ends = [{"addresses": [it], "targetRef": {"kind": "Pod", "name": it}} for it in names]
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": "web-x", "namespace": "prod", "labels": labels}
    store.put(ENDPOINTSLICES, {"metadata": metadata, "endpoints": ends})


async def test_it_is_confirmed_once_the_endpoints_are_those_of_the_pods_that_are_in() -> None:
    store = cluster()
    router = ByPods(store)
    put_slice(store, "web-0", "web-1", "web-2", "web-3")
    assert (await router.read_split(WEB, BY_PODS)).confirmed
    await router.write_split(WEB, BY_PODS, Traffic(20))
    assert not (await router.read_split(WEB, BY_PODS)).confirmed
    put_slice(store, "web-0", "web-canary-0")
    assert (await router.read_split(WEB, BY_PODS)).confirmed
    await router.write_split(WEB, BY_PODS, NOTHING)
    assert not (await router.read_split(WEB, BY_PODS)).confirmed


async def test_without_its_service_there_is_no_split_and_nobody_stays_in() -> None:
    store = cluster()
    router = ByPods(store)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    store.remove(SERVICES, "prod", "web")
    assert (await router.read_split(WEB, BY_PODS)).routes == 0
    await router.write_split(WEB, BY_PODS, Traffic(50))
    assert inside(store) == set()


# --- beside the routes --------------------------------------------------------------------------


async def test_a_run_that_goes_by_routes_again_has_no_pod_in_the_service() -> None:
    store = cluster()
    router = Chosen(store)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    assert (await router.read_split(WEB, BY_PODS)).weight == 50
    routed = Strategy(
        interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name="web"
    )
    assert (await router.read_split(WEB, routed)).routes == 0
    await router.write_split(WEB, routed, NOTHING)
    assert inside(store) == set()


async def test_clean_tells_whether_there_was_anything() -> None:
    store = cluster()
    router = Chosen(store)
    assert not await router.clean(WEB)
    await router.write_split(WEB, BY_PODS, Traffic(50))
    assert await router.clean(WEB)
    assert (inside(store), await router.clean(WEB)) == (set(), False)


# --- what is nobody's ---------------------------------------------------------------------------


async def test_pods_that_have_lost_their_deployment_are_taken_out_and_no_others() -> None:
    store = cluster()
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(50))
    deployment = {"metadata": {"name": "web-canary", "namespace": "prod"}}
    sweep = Sweeper(store, Anywhere(), lambda _: None).sweep
    store.put(DEPLOYMENTS, deployment)
    await sweep()
    assert len(inside(store)) == 4
    store.remove(DEPLOYMENTS, "prod", "web-canary")
    await sweep()
    assert worn(store) == dict.fromkeys(worn(store), APART)


async def test_a_namespace_that_is_not_ours_is_left_as_it_is() -> None:
    class Nowhere(Anywhere):
        def unmanaged(self, namespace: str) -> bool:
            return bool(namespace)

    store = cluster()
    await ByPods(store).write_split(WEB, BY_PODS, Traffic(50))
    await Sweeper(store, Nowhere(), lambda _: None).sweep()
    assert len(inside(store)) == 4


# --- one pod ------------------------------------------------------------------------------------


def test_a_pod_joins_and_leaves_once() -> None:
    apart, joined = pod("a", APART), pod("a", IN)
    assert joining(apart, "web") == {"metadata": {"labels": {"app": "web", JOINED: "web"}}}
    assert joining(joined, "web") is None
    gone = {"app": "web-canary", "track": None, JOINED: None}
    assert leaving(joined) == {"metadata": {"labels": gone}}
    assert leaving(apart) is None


@pytest.mark.parametrize(
    "note", ["", "no json", "[]", "{}", '{"in":3}', '{"in":{"app":3}}', '{"target":7}']
)
def test_a_note_that_cannot_be_read_lets_nobody_in(note: str) -> None:
    found = pod("a", APART, note=note)
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}
    assert joining(found, "web") is None
    assert joining_of(service, [], [found]) == Joining()
    assert joined_to(pod("a", IN, note=note)) is None
    assert leaving(pod("a", IN, note=note)) == {"metadata": {"labels": {JOINED: None}}}


def test_whose_a_pod_is_is_told_by_its_note_and_its_label() -> None:
    assert joined_to(pod("a", IN)) == WEB
    assert joined_to(pod("a", APART)) is None
    assert joined_to(pod("a", {**IN, TARGET_LABEL: "other"})) is None
