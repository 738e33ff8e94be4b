"""Runs from their beginning to their end, as a team and its cluster bring them about.

Each is told by what is waited for, never by how long it takes, so that it goes on whatever happens
to the analyzer meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from canary.contract import SHARE_BY_PODS, Command
from runtime.resources import CANARIES, DEPLOYMENTS, INGRESSES, PODS
from tests.fakes.hook_caller import FakeHookCaller
from tests.harness.api import Change
from tests.harness.controllers import Health, image_of, is_ready
from tests.harness.stage import CANARY, PLACE, SPACE, Stage, deployment, ingress

GOOD: Final = 0.0
BAD: Final = 5.0
PATIENT: Final = 120.0
"""Seconds in which a run has to come to rest once all is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run.

    Args:
        name: what it is called.
        plays: what the team and the cluster do.
        phase: how it ends.
        serves: the image that serves then; "" where the target has gone.
        released: how often each image was let roll by Headgate.
        never: images that never have a pod in the target.
        stage: arguments of the stage.
        kinds: kinds of writes that it is there for.

    """

    name: str
    plays: Callable[[Stage], Awaitable[None]]
    phase: str
    serves: str
    released: Mapping[str, int] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    stage: Mapping[str, Any] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()

    def is_over(self, stage: Stage) -> bool:
        """Tell whether it has ended as it should, with nothing left to do."""
        ended = stage.phase() == self.phase and not stage.canary_image() and not stage.weight()
        if not self.serves:
            return ended and not stage.target_pods()
        serving = {image_of(pod) for pod in stage.target_pods()}
        return ended and serving == {self.serves} and all(map(is_ready, stage.target_pods()))


async def begun(stage: Stage) -> None:
    """Wait until Headgate has looked at the target first."""
    await stage.until("initialized", lambda: stage.phase() == "Initialized")


async def push(stage: Stage, image: str) -> None:
    """Write another image, as `kubectl set image` does."""
    containers = [{"name": "app", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    await stage.team.merge_patch(DEPLOYMENTS, *PLACE, patch)


async def annotate(stage: Stage, command: Command, value: str = "now") -> None:
    """Give a command."""
    notes = {"metadata": {"annotations": {str(command): value}}}
    await stage.team.merge_patch(DEPLOYMENTS, *PLACE, notes)


async def scale(stage: Stage, replicas: int) -> None:
    """Scale the target, as `kubectl scale` does."""
    patch = {"spec": {"replicas": replicas}}
    await stage.team.merge_patch(DEPLOYMENTS, *PLACE, patch, subresource="scale")


async def has_traffic(stage: Stage, image: str) -> None:
    """Wait until the canary of an image has a share."""
    await stage.until(
        f"traffic for {image}",
        lambda: stage.canary_image() == image and stage.weight() > 0,
    )


# --- the stories ----------------------------------------------------------------------------------


async def _promoted(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")


async def _refused(stage: Stage) -> None:
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")


async def _crashed(stage: Stage) -> None:
    stage.bad["web:2"] = Health.CRASHES
    await begun(stage)
    await push(stage, "web:2")


async def _superseded(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await push(stage, "web:3")


async def _reverted(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await push(stage, "web:1")


async def _aborted(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await annotate(stage, Command.ABORT)


async def _retried(stage: Stage) -> None:
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("refused", lambda: stage.refused_image() == "web:2")
    await stage.until("cleaned", lambda: not stage.canary_image())
    stage.answers.values["web:2"] = GOOD
    await annotate(stage, Command.RETRY)
    await stage.until("another run", lambda: stage.phase() != "Failed")


async def _half_way(stage: Stage) -> None:
    """Promote until one pod is new, whose successors do not get ready."""
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("promoting", lambda: stage.phase() == "Promoting")
    stage.bad["web:2"] = Health.NEVER_READY
    await stage.until(
        "half-way", lambda: any(image_of(it) == "web:2" for it in stage.target_pods())
    )


async def _undone(stage: Stage) -> None:
    await _half_way(stage)
    stage.answers.values["web:2"] = BAD


async def _undone_for_another(stage: Stage) -> None:
    await _half_way(stage)
    await push(stage, "web:3")


async def _too_late_to_undo(stage: Stage) -> None:
    """Push another version when no old pod is left and the last new ones start still."""
    await begun(stage)
    await push(stage, "web:2")

    def last_ones_start(change: Change) -> None:
        if change.resource == PODS and stage.serving().get("web:2", 0) == 3:
            stage.bad["web:2"] = Health.NEVER_READY

    stage.api.watchers.append(last_ones_start)
    await stage.until("the last pods start", lambda: stage.sizes() == {"web:1": 0, "web:2": 4})
    stage.api.watchers.remove(last_ones_start)
    await push(stage, "web:3")
    await stage.wait(3)
    stage.bad.clear()


async def _undone_by_crash(stage: Stage) -> None:
    await _half_way(stage)
    stage.bad["web:2"] = Health.CRASHES
    pods = [it for it in stage.api.peek(PODS) if it["metadata"]["name"].startswith(CANARY)]
    for pod in pods:
        await stage.team.delete(PODS, SPACE, pod["metadata"]["name"])


async def _deleted(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await stage.team.delete(DEPLOYMENTS, *PLACE)
    await stage.until("cleaned", lambda: not stage.weight() and not stage.canary_image())
    await stage.team.delete(CANARIES, *PLACE)


async def _made_anew(stage: Stage) -> None:
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    await stage.team.delete(DEPLOYMENTS, *PLACE)
    await stage.team.create(DEPLOYMENTS, deployment("web:3", 4))


async def _asleep(stage: Stage) -> None:
    """Be promoted, so that there is a history, then sleep in the middle of the next run."""
    await _promoted(stage)
    await stage.until("promoted", lambda: stage.phase() == "Succeeded")
    await push(stage, "web:1")
    await has_traffic(stage, "web:1")
    await scale(stage, 0)
    await stage.until("asleep", lambda: not stage.canary_image() and not stage.target_pods())
    await scale(stage, 4)


async def _asleep_while_promoting(stage: Stage) -> None:
    await _half_way(stage)
    stage.bad.clear()
    await scale(stage, 0)
    await stage.until("asleep", lambda: not stage.canary_image() and not stage.target_pods())
    await scale(stage, 4)


async def _parked_and_gone(stage: Stage) -> None:
    """Delete a target whose old ReplicaSets are parked, while nobody looks."""
    await _promoted(stage)
    await stage.until("promoted", lambda: stage.phase() == "Succeeded")
    await push(stage, "web:1")
    await stage.until("parked", lambda: bool(stage.parked()))
    await stage.team.delete(DEPLOYMENTS, *PLACE)
    await stage.until("swept", lambda: not stage.parked())
    await stage.until("cleaned", lambda: not stage.weight() and not stage.canary_image())
    await stage.team.delete(CANARIES, *PLACE)


async def _after_refusal(stage: Stage) -> None:
    """Push another version onto a refused one: its verdict has to go from the target."""
    stage.answers.values["web:2"] = BAD
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("refused", lambda: stage.refused_image() == "web:2")
    await push(stage, "web:3")


async def _next(stage: Stage) -> None:
    """Push the next version onto one that was promoted, which its Canary says still."""
    await _promoted(stage)
    await stage.until("promoted", lambda: stage.phase() == "Succeeded")
    await push(stage, "web:3")


async def _opened(stage: Stage) -> None:
    """Open three gates: one by a person, the others by their hooks."""
    hooks = _hooks(stage)
    for name in ("rollout", "traffic", "promotion"):
        hooks.script(name, *[403] * 3, 200)
    hooks.script("rollout", 403)
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("waiting", lambda: stage.phase() == "Waiting")
    await annotate(stage, Command.APPROVE, "rollout")


async def _refused_at_a_gate(stage: Stage) -> None:
    """Get sick while people take their time."""
    _hooks(stage).script("promotion", 403)
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("waiting", lambda: stage.phase() == "WaitingPromotion")
    stage.answers.values["web:2"] = BAD


def _hooks(stage: Stage) -> FakeHookCaller:
    assert isinstance(stage.hooks, FakeHookCaller)
    return stage.hooks


def _gates(*names: str) -> dict[str, Any]:
    kinds = {"rollout": "confirm-rollout", "traffic": "confirm-traffic-increase"}
    hooks = [
        {"name": name, "type": kinds.get(name, "confirm-promotion"), "url": "http://gates"}
        for name in names
    ]
    return {"analysis": {"webhooks": hooks}}


async def _made_for_it(stage: Stage) -> None:
    """Follow the admin's defaults, with a Canary that is made for the target."""
    stage.answers.values |= {"web:2": 100.0}
    await stage.wait(5)
    await push(stage, "web:2")


def _strategy(**analysis: Any) -> Mapping[str, Any]:
    """Return a stage whose Canary says another strategy."""
    return {"analysis": analysis}


async def _no_more_by_pods(stage: Stage) -> None:
    """Take the share by pods back in mid-run: its pods leave the Service, and a new run begins."""
    await begun(stage)
    await push(stage, "web:2")
    await has_traffic(stage, "web:2")
    off = {"metadata": {"annotations": {SHARE_BY_PODS: "off"}}}
    analysis = {"spec": {"analysis": {"iterations": 2, "stepWeights": None}}}
    await stage.team.merge_patch(CANARIES, *PLACE, {**off, **analysis})
    await stage.until("left", lambda: not stage.weight())


async def _rewritten(stage: Stage) -> None:
    """Give the Ingress another host in mid-run: what stands beside it follows, with its share."""
    stage.answers.values["web:2"] = None
    await _promoted(stage)
    await has_traffic(stage, "web:2")
    share = stage.weight()
    edited = ingress("new.example", "web.example")
    # As the ledger knows it, for that is what the team has written in the end.
    stage.route = edited
    await stage.team.apply(INGRESSES, edited)
    await stage.until(
        "the new host's share", lambda: _hosts(stage) == {"new.example", "web.example"}
    )
    await stage.until("the same share", lambda: stage.weight() == share)
    stage.answers.values["web:2"] = GOOD


def _hosts(stage: Stage) -> set[str]:
    found = stage.api.look(INGRESSES, SPACE, CANARY)
    return set() if found is None else {rule["host"] for rule in found["spec"]["rules"]}


async def _left_with_the_ingress(stage: Stage) -> None:
    """Delete the Ingress and the target in mid-run: what stood beside it goes too."""
    await _promoted(stage)
    await has_traffic(stage, "web:2")
    await stage.team.delete(INGRESSES, *PLACE)
    await stage.team.delete(DEPLOYMENTS, *PLACE)
    await stage.until("cleaned", lambda: not stage.canary_image() and not _hosts(stage))
    await stage.team.delete(CANARIES, *PLACE)


_INSIDERS: Final = [{"headers": {"x-canary": {"exact": "insider"}}}]
_LARGE: Final = {"replicas": 4}
_INGRESS: Final = {"kind": INGRESSES.kind}
_NAMED: Final = {**_INGRESS, "named": True}
_BY_PODS: Final = {"replicas": 4, "by_pods": True}
STORIES: Final = (
    Story(
        name="promotion",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        kinds=frozenset({"create deployments", "create services", "merge_patch httproutes"}),
    ),
    Story(
        name="refusal",
        plays=_refused,
        phase="Failed",
        serves="web:1",
        never=frozenset({"web:2"}),
        kinds=frozenset({"merge_patch deployments/status", "delete deployments"}),
    ),
    Story(name="crash", plays=_crashed, phase="Failed", serves="web:1", never=frozenset({"web:2"})),
    Story(
        name="supersede",
        plays=_superseded,
        phase="Succeeded",
        serves="web:3",
        released={"web:3": 1},
        never=frozenset({"web:2"}),
        kinds=frozenset({"apply deployments", "apply services"}),
    ),
    Story(
        name="revert",
        plays=_reverted,
        phase="Initialized",
        serves="web:1",
        never=frozenset({"web:2"}),
    ),
    Story(name="abort", plays=_aborted, phase="Failed", serves="web:1", never=frozenset({"web:2"})),
    Story(name="retry", plays=_retried, phase="Succeeded", serves="web:2", released={"web:2": 1}),
    Story(
        name="undo",
        plays=_undone,
        phase="Failed",
        serves="web:1",
        released={"web:2": 1},
        stage=_LARGE,
        kinds=frozenset({"merge_patch replicasets/scale"}),
    ),
    Story(
        name="undo-by-crash",
        plays=_undone_by_crash,
        phase="Failed",
        serves="web:1",
        released={"web:2": 1},
        stage=_LARGE,
    ),
    Story(
        name="undo-for-another",
        plays=_undone_for_another,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
        stage=_LARGE,
    ),
    Story(
        name="too-late-to-undo",
        plays=_too_late_to_undo,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
        stage=_LARGE,
    ),
    Story(name="deleted", plays=_deleted, phase="", serves="", never=frozenset({"web:2"})),
    Story(
        name="made-anew",
        plays=_made_anew,
        phase="Initialized",
        serves="web:3",
        never=frozenset({"web:2"}),
    ),
    Story(
        name="asleep",
        plays=_asleep,
        phase="Succeeded",
        serves="web:1",
        released={"web:2": 1, "web:1": 1},
        stage=_LARGE,
        kinds=frozenset({"merge_patch replicasets"}),
    ),
    Story(
        name="asleep-while-promoting",
        plays=_asleep_while_promoting,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 2},
        stage=_LARGE,
    ),
    Story(
        name="sweep",
        plays=_parked_and_gone,
        phase="",
        serves="",
        released={"web:2": 1},
        kinds=frozenset({"delete replicasets"}),
    ),
    Story(
        name="after-refusal",
        plays=_after_refusal,
        phase="Succeeded",
        serves="web:3",
        released={"web:3": 1},
        never=frozenset({"web:2"}),
        kinds=frozenset({"json_patch deployments/status", "merge_patch canaries/status condition"}),
    ),
    Story(
        name="next",
        plays=_next,
        phase="Succeeded",
        serves="web:3",
        released={"web:2": 1, "web:3": 1},
        kinds=frozenset({"merge_patch canaries/status condition"}),
    ),
    Story(
        name="opened",
        plays=_opened,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_gates("rollout", "traffic", "promotion"),
    ),
    Story(
        name="refused-at-a-gate",
        plays=_refused_at_a_gate,
        phase="Failed",
        serves="web:1",
        never=frozenset({"web:2"}),
        stage=_gates("promotion"),
    ),
    Story(
        name="made-for-it",
        plays=_made_for_it,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage={"own_canary": False},
        kinds=frozenset({"create canaries"}),
    ),
    Story(
        name="blue-green",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_strategy(iterations=2, mirror=True, stepWeightPromotion=50),
    ),
    Story(
        name="a-b",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_strategy(iterations=2, match=_INSIDERS),
    ),
    Story(
        name="sticky",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_strategy(sessionAffinity={"cookieName": "met"}, mirror=True),
    ),
    Story(
        name="by-pods",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_BY_PODS,
        kinds=frozenset({"merge_patch pods"}),
    ),
    Story(
        name="by-pods-refused",
        plays=_refused,
        phase="Failed",
        serves="web:1",
        never=frozenset({"web:2"}),
        stage=_BY_PODS,
    ),
    Story(
        name="by-pods-supersede",
        plays=_superseded,
        phase="Succeeded",
        serves="web:3",
        released={"web:3": 1},
        never=frozenset({"web:2"}),
        stage=_BY_PODS,
    ),
    Story(
        name="by-pods-no-more",
        plays=_no_more_by_pods,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_BY_PODS,
    ),
    Story(
        name="ingress",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_NAMED,
        kinds=frozenset({"create ingresses", "merge_patch ingresses", "delete ingresses"}),
    ),
    Story(
        name="ingress-refused",
        plays=_refused,
        phase="Failed",
        serves="web:1",
        never=frozenset({"web:2"}),
        stage=_INGRESS,
    ),
    Story(
        name="ingress-supersede",
        plays=_superseded,
        phase="Succeeded",
        serves="web:3",
        released={"web:3": 1},
        never=frozenset({"web:2"}),
        stage=_INGRESS,
    ),
    Story(
        name="ingress-a-b",
        plays=_promoted,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage={**_NAMED, "analysis": {"iterations": 2, "match": _INSIDERS}},
    ),
    Story(
        name="ingress-rewritten",
        plays=_rewritten,
        phase="Succeeded",
        serves="web:2",
        released={"web:2": 1},
        stage=_NAMED,
    ),
    Story(
        name="ingress-gone",
        plays=_left_with_the_ingress,
        phase="",
        serves="",
        never=frozenset({"web:2"}),
        stage=_NAMED,
    ),
)
