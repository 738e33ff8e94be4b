"""What must be so whatever happens: the ledger's rules, and those of a world of random events."""

from dataclasses import dataclass, field
from typing import Final

from canary.contract import ANALYZER_USER, HOLD, PROMOTING, STABLE, Command
from canary.model.commands import given
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.strategy import HookType
from canary.model.values import Json
from runtime.resources import CANARIES, DEPLOYMENTS, REPLICASETS
from tests.harness.api import Change
from tests.harness.controllers import image_of, is_ready
from tests.harness.hooks import Given, Hooks
from tests.harness.ledger import is_of_target
from tests.harness.next import Next
from tests.harness.shares import Shares
from tests.harness.stage import CANARY, NAME, SPACE

_ENDED: Final = frozenset({"Initialized", "Succeeded", "Failed"})
_AT_ONCE: Final = 5.0
"""Seconds in which a rollback hook that agreed has ended the run."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """A hold that has ended, of which the analyzer may not have heard yet.

    Since when its answers count, of metrics and of hooks; which gates stood then, and what people
    said of it.
    """

    since: int
    asked_of_hooks: int
    gates: frozenset[HookType]
    told: set[Command]


@dataclass
class Judged(Shares):
    """A ledger that also says why a candidate may be released, and when all is over.

    Args:
        hooks: what was asked of hooks, if anything is.

    """

    hooks: Hooks | None = None
    _held: str = ""
    _open: str = ""
    _since: int = 0
    _step: int = 0
    _asked_of_hooks: int = 0
    _gates: frozenset[HookType] = frozenset()
    _told: set[Command] = field(default_factory=set)
    _before: dict[str, _Hold] = field(default_factory=dict)
    _rolls: dict[str, _Hold] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.next_one = Next(self.stage, self.wrong)

    def look(self) -> None:
        """Look at what may be for a moment, and for no longer."""
        super().look()
        self.next_one.look()

    def heard(self, change: Change) -> None:
        """Take in one write."""
        super().heard(change)
        self.next_one.heard(change)
        obj = change.new or change.old or {"metadata": {}}
        if obj["metadata"].get("namespace") != SPACE:
            return
        ours = change.writer.user == ANALYZER_USER and change.old is not None
        if change.resource == CANARIES and ours and is_of_target(change):
            self._before.clear()
        if change.resource == REPLICASETS and ours and change.old and change.new:
            self._is_spared(change.old, change.new)
        if change.resource == DEPLOYMENTS and change.new is not None:
            if obj["metadata"]["name"] == CANARY:
                self._is_confirmed(change.old, change.new)
            if obj["metadata"]["name"] == NAME:
                if ours and change.old is not None:
                    self._is_earned(change.old, change.new)
                self._follow(change.new)

    # --- whose run it is --------------------------------------------------------------------------

    def _follow(self, target: Json) -> None:
        """Keep since when the candidate is held, or tried once more, and what people said of it."""
        notes = target["metadata"].get("annotations") or {}
        held = image_of(target["spec"]["template"]) if HOLD in notes else ""
        if not target["spec"].get("paused"):
            self._open = image_of(target["spec"]["template"])
        retried = Command.RETRY in given(notes) and self.stage.refused_image() == held
        if PROMOTING in notes and self._held:
            self._rolls = {self._held: self._kept()}
        elif PROMOTING not in notes and not held:
            self._rolls = {}
        if held != self._held or retried:
            self._turn_to(held, again=retried)
        self._told |= given(notes)

    def _turn_to(self, held: str, *, again: bool) -> None:
        """Begin with another hold, or go on with one of before: its run may never have ended.

        A version that was taken back and comes again before the analyzer has stored anything of
        that is in the run that it was in, and so is one that was paused while it rolled.
        """
        if self._held:
            self._before[self._held] = self._kept()
        back = None if again else self._before.get(held) or self._rolls.get(held)
        if back is not None:
            self._since, self._asked_of_hooks = back.since, back.asked_of_hooks
            self._gates, self._told = back.gates, set(back.told)
        else:
            self._since = len(self.stage.answers.asked)
            self._asked_of_hooks = len(self.hooks.given) if self.hooks else 0
            self._gates, self._told = self._kinds(), set()
        self._held = held

    def _kept(self) -> _Hold:
        return _Hold(self._since, self._asked_of_hooks, self._gates, self._told)

    def _kinds(self) -> frozenset[HookType]:
        """Return the kinds of hooks that the Canary names."""
        found = self.stage.canary() or {}
        hooks = (found.get("spec") or {}).get("analysis", {}).get("webhooks") or ()
        return frozenset(HookType(hook["type"]) for hook in hooks)

    def _given(self, kind: HookType, image: str) -> list[Given]:
        """Return what hooks of a kind have answered about the candidate that is held."""
        given = self.hooks.given[self._asked_of_hooks :] if self.hooks else []
        return [one for one in given if one.kind is kind and one.image == image]

    def _is_shut(self, kind: HookType, image: str) -> bool:
        """Tell whether a gate that has stood since the hold was opened by nobody."""
        stands = kind in self._gates & self._kinds() and image == self._held
        people = self._told & {Command.APPROVE, Command.PROMOTE}
        return stands and not people and not any(one.ok for one in self._given(kind, image))

    # --- what it may do ---------------------------------------------------------------------------

    def _is_earned(self, old: Json, new: Json) -> None:
        """A candidate is released by its own checks or by somebody's word."""
        before = old["metadata"].get("annotations") or {}
        if HOLD not in before or new["spec"].get("paused") or not old["spec"].get("paused"):
            return
        template = new["spec"]["template"]
        found = self.stage.canary() or {}
        mark = Identities((template,)).current(before.get(STABLE, ""))
        # Metrics that nobody has named are no condition where neither version has them.
        named = bool((found.get("spec") or {}).get("analysis", {}).get("metrics"))
        image = image_of(template)
        if mark == template_hash(template) or Command.PROMOTE in self._told | given(before):
            return
        stable = (found.get("status") or {}).get("lastPromotedSpec", "")
        said = Identities((template,)).current(stable)
        # Half-way between two versions, which of them serves is what the run was begun against.
        if said == template_hash(template) and image in self._served:
            return
        if self._serves_already(image):
            return
        self._is_sound(image, named=named)

    def _is_sound(self, image: str, *, named: bool) -> None:
        """A candidate is released awake, checked, confirmed, and not given back."""
        if self._slept:
            self.wrong.append(f"{image} was promoted while the target slept")
        if self._steps == self._asked_for() and self._most < max(self._steps, default=0):
            self.wrong.append(f"{image} was promoted at {self._most} %, before its last step")
        if named and (why := self._unchecked(image)):
            self.wrong.append(f"{image} was promoted although {why}")
        if self._is_shut(HookType.CONFIRM_PROMOTION, image):
            self.wrong.append(f"{image} was promoted although nobody confirmed it")
        if self._is_given_back(image):
            self.wrong.append(f"{image} was promoted although a hook had it rolled back")

    def _unchecked(self, image: str) -> str:
        """Say what the checks of a candidate lack; nothing if the last one passed."""
        asked = self.stage.answers.asked[self._since :]
        own = [value for whose, value in asked if whose == image]
        if not [value for value in own if value is not None and value <= 1]:
            return "nothing was asked of it"
        return "" if own[-1] is not None and own[-1] <= 1 else "its last check did not pass"

    def _unearned(self, image: str) -> str:
        """Say why a version may have no more than it has: its own checks since the last step."""
        asked = [value for whose, value in self.stage.answers.asked[self._step :] if whose == image]
        found = self.stage.canary() or {}
        if not (found.get("spec") or {}).get("analysis", {}).get("metrics"):
            return ""
        if not asked:
            return "nothing was asked of it since its last step"
        return "" if asked[-1] is not None and asked[-1] <= 1 else "its last check did not pass"

    def _stepped(self) -> None:
        self._step = len(self.stage.answers.asked)

    def _is_given_back(self, image: str) -> bool:
        """Tell whether a rollback hook agreed a while ago and has not said no since.

        What it told a process that has ended since may be lost: it is asked again.
        """
        kind, began = HookType.ROLLBACK, self.stage.installation.began
        if kind not in self._gates & self._kinds() or Command.PROMOTE in self._told:
            return False
        given = [one for one in self._given(kind, image) if one.at >= began]
        refusals = [at for at, one in enumerate(given) if not one.ok]
        agreed = given[refusals[-1] + 1 :] if refusals else given
        return bool(agreed) and self.stage.seconds() - agreed[0].at > _AT_ONCE

    def _serves_already(self, image: str) -> bool:
        """Tell whether an image is what serves most, or is to serve alone, whatever the marks say.

        Of a target that was just made no pod is ready yet; nothing else ever served there.
        """
        serving, sizes = self.stage.serving(), self.stage.sizes()
        if serving and sizes:  # else what serves still is of a Deployment that has gone
            return serving.get(image, 0) == max(serving.values())
        if not any(sizes.values()) and image == self._open:
            return True  # of a target at 0, what it was let ask for last is its version
        # One that was paused before its controller had seen it has no ReplicaSet at all.
        return not sizes.keys() - {image} or {it for it in sizes if sizes[it]} == {image}

    def _is_confirmed(self, old: Json | None, new: Json) -> None:
        """No canary is made, or made another one, unconfirmed or of what was refused."""
        image = image_of(new["spec"]["template"])
        anew = old is None or image_of(old["spec"]["template"]) != image
        if anew and self._is_shut(HookType.CONFIRM_ROLLOUT, image):
            self.wrong.append(f"{image} has a canary that nobody confirmed")
        # One that was let roll by a person is made whole as any other.
        by_people = self._told & {Command.RETRY, Command.PROMOTE} or image != self._held
        if anew and image == self.stage.refused_image() and not by_people:
            self.wrong.append(f"{image} was refused and is tried again")

    def _share(self) -> None:
        before = self.weights[-1] if self.weights else 0
        super()._share()
        image = self.stage.canary_image()
        # A copy of the route that is put back may have a share, and nobody has it.
        if self.stage.weight() <= before or not image:
            return
        if self._is_shut(HookType.CONFIRM_TRAFFIC_INCREASE, image):
            self.wrong.append(f"{image} has more traffic than anybody confirmed")
        if self._is_given_back(image):
            self.wrong.append(f"{image} has more traffic although a hook had it rolled back")

    def _is_spared(self, old: Json, new: Json) -> None:
        """Pods that serve are taken down, or left alone, only where others are to serve."""
        fewer = new["spec"]["replicas"] < old["spec"]["replicas"]
        serves = (old.get("status") or {}).get("readyReplicas")
        name = new["metadata"]["name"]
        is_targets = name.startswith(f"{NAME}-") and not name.startswith(f"{CANARY}-")
        if not is_targets or not fewer or not serves or not self.stage.has_target():
            return
        wanted = int(self.stage.target()["spec"].get("replicas", 1))
        others = sum(self.stage.sizes().values())
        if wanted and not others:
            self.wrong.append(f"{image_of(new['spec']['template'])} was all that served")

    # --- what is looked at ------------------------------------------------------------------------

    def looked_at(self) -> None:
        """Look at a hold that has stood for a while: it says what it is, and the stable serves.

        Raises:
            AssertionError: it does not.

        """
        stage = self.stage
        if not stage.has_target():
            return
        target = stage.target()
        if HOLD not in (target["metadata"].get("annotations") or {}):
            return
        conditions = stage.status().get("conditions") or ()
        said = any(one.get("message") for one in conditions)
        assert said or stage.said(), f"a hold without a word: {stage.summary()}"
        sizes, wanted = stage.sizes(), target["spec"].get("replicas", 1)
        image = image_of(target["spec"]["template"])
        others = sum(size for whose, size in sizes.items() if whose != image)
        if wanted and sizes.keys() - {image} and stage.phase() == "Progressing":
            assert others >= wanted, f"the stable has {sizes}: {stage.summary()}"

    def rests(self) -> bool:
        """Tell whether every run has ended and all is as it is to be for ever."""
        stage = self.stage
        if stage.weight() or stage.canary_image():
            return False
        # Those of a target that has gone are swept every few minutes.
        if self.strays() or not self.next_one.rests():
            return False
        if not stage.has_target():
            return True
        target = stage.target()
        wanted = target["spec"].get("replicas", 1)
        pods = stage.target_pods()
        held = HOLD in (target["metadata"].get("annotations") or {})
        # Paused half-way between two others it keeps pods of both, one more than it asks for.
        most = wanted + 1 if held else wanted
        if not wanted <= len(pods) <= most or not all(map(is_ready, pods)):
            return False
        image = image_of(target["spec"]["template"])
        if held:
            return stage.has_failed() and {image_of(pod) for pod in pods} != {image}
        ended = stage.phase() in {*_ENDED, ""}
        return ended and {image_of(pod) for pod in pods} <= {image}
