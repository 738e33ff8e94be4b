"""Whose traffic it is: what a canary must not be sent, and what must not last."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from analyzer.routers.lags import MOST
from canary.contract import ANALYZER_USER, HOLD, PROMOTING, SERVICE_OF_SLICE, STABLE, Reason
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.state import Phase
from canary.model.values import FULL, Json
from canary.model.world import Timing
from canary.objects.status import CONDITION
from canary.rules.capacity import HEADROOM
from runtime.resources import CANARIES, DEPLOYMENTS, ENDPOINTSLICES, PODS, REPLICASETS, SERVICES
from tests.harness.api import Change
from tests.harness.client import TEAM
from tests.harness.controllers import image_of, is_ready
from tests.harness.hands import overreach
from tests.harness.ledger import ANSWERED, SWEPT, Ledger, is_held, is_of_target
from tests.harness.stage import CANARY, NAME, PLACE, SPACE

DRAINED: Final = Timing().drain.total_seconds() - 1
"""Seconds without traffic after which a canary may go; the API server's times are whole ones."""
_KNOWN: Final = 2.0
"""Seconds after which the analyzer has heard of what happens to a target."""
_AT_ONCE: Final = 0.1
"""Seconds that are less than controllers take to see a change, and more than a look takes."""
_CLOCK: Final = 120.0
"""Seconds in which a step of the API server's clock is made up for."""


@dataclass
class Shares(Ledger):
    """A ledger that knows what a share of the traffic rests on, step by step."""

    _sent_at: float = -DRAINED
    _skew: timedelta = timedelta(0)
    _skewed_at: float = -_CLOCK
    _most: int = 0
    _steps: tuple[int, ...] = ()
    _half_way: str = ""
    _slept_at: float = math.inf
    _empty_at: float = math.inf
    _slept: bool = False
    _behind_at: float = -math.inf
    _ours: bool = False
    _lost: str = ""
    _began: str | None = None
    _lost_at: float = -math.inf

    def heard(self, change: Change) -> None:
        """Take in one write."""
        self._ours = change.writer.user == ANALYZER_USER
        if change.resource in {DEPLOYMENTS, SERVICES, self.stage.routes}:
            self._goes(change)
        super().heard(change)
        self._fall_asleep(change)
        self._lose(change)
        if change.writer.user == ANALYZER_USER:
            if why := overreach(change, self._deployments()):
                self.wrong.append(f"not its own: {why}")
            self._is_made(change)
            self._is_complete(change)
        if change.resource in {DEPLOYMENTS, CANARIES, self.stage.routes}:
            self.look()

    def _fall_asleep(self, change: Change) -> None:
        """Keep since when a held target is to have no pods."""
        new = change.new
        if change.resource != DEPLOYMENTS or new is None or new["metadata"]["name"] != NAME:
            return
        if new["metadata"]["namespace"] != SPACE:
            return
        self._slept = self._sleeps()
        asleep, now = not new["spec"].get("replicas", 1), self.stage.seconds()
        self._empty_at = min(self._empty_at, now) if asleep else math.inf
        self._slept_at = min(self._slept_at, now) if asleep and is_held(new) else math.inf

    def _is_complete(self, change: Change) -> None:
        """A rollout of no pods at all is none, but of what a person has promoted."""
        old, new = ((it or {}).get("status") or {} for it in (change.old, change.new))
        if (
            change.resource != CANARIES
            or new.get("phase") != "Finalising"
            or not is_of_target(change)
        ):
            return
        if old.get("phase") == "Finalising":
            return
        forced = (new.get("run") or {}).get("forced")
        if self.stage.seconds() - self._empty_at > _AT_ONCE and not forced:
            self.wrong.append("a rollout of no pods was taken for complete")

    def _lose(self, change: Change) -> None:
        """Keep which version's canary a person has deleted: made again, it goes on."""
        old = change.old
        if change.resource != DEPLOYMENTS or old is None or old["metadata"]["name"] != CANARY:
            return
        if change.new is None and change.writer == TEAM:
            self._lost, self._lost_at = image_of(old["spec"]["template"]), self.stage.seconds()
        elif change.new is None:
            self._lost = ""

    # --- at one moment ----------------------------------------------------------------------------

    def _goes(self, change: Change) -> None:
        """A canary is deleted once it has no traffic, and its last requests are answered."""
        now, old = self.stage.seconds(), change.old
        if self.stage.skew != self._skew:
            self._skew, self._skewed_at = self.stage.skew, now
        if self.stage.weight():
            self._sent_at = now
        if change.writer.user != ANALYZER_USER or change.new is not None or old is None:
            return
        if change.resource not in {DEPLOYMENTS, SERVICES} or old["metadata"]["name"] != CANARY:
            return
        kind = change.resource.kind
        if weight := self.stage.weight():
            self.wrong.append(f"the canary's {kind} was deleted while it had {weight} %")
        drains = now - self._sent_at < DRAINED and now - self._skewed_at > _CLOCK
        if drains and change.resource == DEPLOYMENTS and self._is_of_the_target(old):
            self.wrong.append("the canary was deleted before its last requests were answered")

    def _is_of_the_target(self, canary: Json) -> bool:
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        owners = canary["metadata"].get("ownerReferences") or ()
        uid = None if target is None else target["metadata"]["uid"]
        return any(it["uid"] == uid for it in owners)

    def _is_made(self, change: Change) -> None:
        """Another version in the canary has no share yet."""
        old, new = change.old, change.new
        if change.resource != DEPLOYMENTS or new is None or new["metadata"]["name"] != CANARY:
            return
        image = image_of(new["spec"]["template"])
        if image == (self._lost if old is None else image_of(old["spec"]["template"])):
            return
        self._most, self._steps = 0, self._asked_for()
        if weight := self.stage.weight():
            self.wrong.append(f"{image} has {weight} % before its first step")

    def _asked_for(self) -> tuple[int, ...]:
        """Return the shares that the Canary asks for one after the other, () where it has none.

        Where visitors are bound to a version, the route's weights say more than a step's share.
        """
        found = self.stage.canary() or {}
        analysis = (found.get("spec") or {}).get("analysis") or {}
        bound = analysis.keys() & {"iterations", "sessionAffinity"}
        steps = analysis.get("stepWeights") or ()
        return () if bound else tuple(min(it, FULL) for it in steps)

    def _share(self) -> None:
        before = self.weights[-1] if self.weights else 0
        super()._share()
        weight, image = self.stage.weight(), self.stage.canary_image()
        self._begin_again()
        # A saved copy of the route may bring a share, too; how long it stays is looked at.
        if weight <= before or weight <= self._most or not self._ours:
            return
        if image and not self._ready():
            self.wrong.append(f"{image} has {weight} %, and none of its pods is ready")
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        if target is not None and is_held(target) and self._is_half_way(target):
            self.wrong.append(f"{image} has {weight} %, and {self._half_way} is half-way still")
        if self._sleeps():
            self.wrong.append(f"{image} has {weight} %, and the target sleeps")
        # Whoever deletes a canary does so before anybody has heard of it.
        if (left := self._forgotten()) and self.stage.seconds() - self._lost_at > _KNOWN:
            self.wrong.append(f"{image} has {weight} %, and pods of a canary before: {left}")
        if gone := self._gone():
            self.wrong.append(f"{image} has {weight} %, and its slices name {gone}, which is gone")
        # Edited in mid-run, it goes on by other steps.
        if self._steps and self._steps == self._asked_for():
            self._is_next(image, weight)
        self._most = weight
        self._stepped()

    def _begin_again(self) -> None:
        """Know a run that begins anew with the canary of the one before, at its first step."""
        began = (self.stage.status().get("run") or {}).get("startedAt")
        if began is not None and began != self._began:
            self._began, self._most, self._steps = began, 0, self._asked_for()

    def _sleeps(self) -> bool:
        """Tell whether the target has been held at no pods for so long that it is known."""
        return self.stage.seconds() - self._slept_at > _KNOWN

    def _is_next(self, image: str, weight: int) -> None:
        """A step is the next one, and was earned at the one before."""
        further = [it for it in self._steps if it > self._most]
        if further and weight > further[0]:
            self.wrong.append(f"{image} has {weight} %, and its next step is {further[0]} %")
        if self._most and (why := self._unearned(image)):
            self.wrong.append(f"{image} has {weight} % although {why}")

    def _unearned(self, image: str) -> str:
        """Say why a version may have no more than it has; who asks no checks does not know."""
        del image
        return ""

    def _stepped(self) -> None:
        """Keep what is to be kept at the beginning of a step."""

    def _ready(self) -> int:
        return sum(
            is_ready(pod)
            for pod in self.stage.api.peek(PODS)
            if pod["metadata"]["namespace"] == SPACE
            and pod["metadata"]["name"].startswith(f"{CANARY}-")
        )

    def _gone(self) -> str:
        """Return a pod that is not there, and to which the canary's Service sends requests."""
        pods = {pod["metadata"]["name"] for pod in self.stage.api.peek(PODS)}
        named = (
            str(endpoint["targetRef"]["name"])
            for one in self.stage.api.peek(ENDPOINTSLICES)
            if (one["metadata"].get("labels") or {}).get(SERVICE_OF_SLICE) == CANARY
            for endpoint in one.get("endpoints") or ()
            if endpoint["conditions"]["ready"]
        )
        return next((name for name in named if name not in pods), "")

    def _deployments(self) -> set[str]:
        return {one["metadata"]["uid"] for one in self.stage.api.peek(DEPLOYMENTS)}

    def _forgotten(self) -> list[str]:
        """Return the images of a canary before whose pods nobody has taken away."""
        there = self._deployments()
        return [
            image_of(one["spec"]["template"])
            for one in self.stage.api.peek(REPLICASETS)
            if one["metadata"]["name"].startswith(f"{CANARY}-")
            and one["spec"].get("replicas")
            and not any(it["uid"] in there for it in one["metadata"].get("ownerReferences") or ())
        ]

    # --- what must not last -----------------------------------------------------------------------

    def look(self) -> None:
        """Look at what may be for a moment, and for no longer."""
        found = {f"pods of a canary before are there: {it}": SWEPT for it in self._forgotten()}
        self.wrong += self._overdue.look(found | self._lasting())

    def _lasting(self) -> dict[str, timedelta]:
        """Return what is to be over soon, and after how long."""
        stage, found = self.stage, dict[str, timedelta]()
        weight, image = stage.weight(), stage.canary_image()
        target = stage.api.look(DEPLOYMENTS, *PLACE)
        if weight and not image:
            found["traffic goes to a canary that is not there"] = SWEPT
        if target is None:
            return found
        self._follow_rollout(target)
        if not stage.is_labelled() or stage.canary() is None:
            return found
        asked, refused = image_of(target["spec"]["template"]), stage.refused_image()
        if weight and image not in {"", asked}:
            found[f"{image} has traffic, and {asked} is asked for"] = ANSWERED
        if image and image == refused and (not weight or weight > self._lacks()):
            # Its pods stay while a gateway may send them requests, no longer (ADR 55).
            kept = timedelta() if weight else self._kept_behind()
            found[f"{image} was refused and {_too_much(weight)}"] = ANSWERED + kept
        if not is_held(target) and self._has_failed(target) and stage.sizes().get(asked):
            found[f"{asked} was refused, and rolls on"] = ANSWERED
        if is_held(target):
            found |= dict.fromkeys(self._while_held(target, image, refused), ANSWERED)
        return found

    def _is_said_to_have_none(self) -> bool:
        """Tell whether the status has no share, of a run by weights."""
        found = self.stage.canary() or {}
        by_checks = "iterations" in ((found.get("spec") or {}).get("analysis") or {})
        return not by_checks and not self.stage.status().get("canaryWeight")

    def _kept_behind(self) -> timedelta:
        """Return for how long a gateway that does not take routes keeps a canary."""
        now = self.stage.seconds()
        if not self.stage.others.gateway_up:
            self._behind_at = now
        lately = now - self._behind_at < ANSWERED.total_seconds()
        return timedelta(seconds=MOST) if lately else timedelta()

    def _while_held(self, target: Json, image: str, refused: str) -> list[str]:
        """Return what a hold is to end soon."""
        found = list[str]()
        asked, wanted = image_of(target["spec"]["template"]), target["spec"].get("replicas", 1)
        if image and (weight := self.stage.weight()) and self._is_said_to_have_none():
            found.append(f"{image} has {weight} %, and its status says none")
        if not wanted and image and image != refused:
            found.append(f"{image} has a canary, and the target sleeps")
        if self._waits(asked) and self.stage.sizes().get(asked):
            found.append(f"{asked} is held, and has pods in the target")
        if self._woken and self._by_headgate and self.stage.serving().get(asked):
            found.append(f"{asked} is held, and serves since it was woken")
        if self._is_forgotten(target):
            found.append(f"{asked} was refused, and no mark remembers it")
        if self._is_half_way(target):
            found.append(f"{self._half_way} was not taken back, half-way")
        return found

    def _lacks(self) -> int:
        """Return the share that the stable's ready pods cannot take, in percent (ADR 14)."""
        refused, serving = self.stage.refused_image(), self.stage.serving()
        ready = sum(size for image, size in serving.items() if image != refused)
        return max(0, FULL - int(FULL * HEADROOM * ready / max(self._size, 1)))

    def _has_failed(self, target: Json) -> bool:
        """Tell whether the status says of what is asked for that its run has ended without it."""
        status, template = self.stage.status(), target["spec"]["template"]
        if self.stage.phase() != "Failed":
            return False
        known = Identities((template,)).current(status.get("lastAppliedSpec") or "")
        return known == template_hash(template)

    def _is_forgotten(self, target: Json) -> bool:
        """Tell whether a verdict stands in the status alone."""
        conditions = self.stage.status().get("conditions") or ()
        verdicts = [it for it in conditions if it["type"] == CONDITION]
        judged = any(it["reason"] != Reason.PROGRESS_DEADLINE for it in verdicts)
        return judged and self._has_failed(target) and not self.stage.refused_image()

    def _follow_rollout(self, target: Json) -> None:
        """Keep which version Headgate has let roll until that is over, taken back, or forgotten.

        It is forgotten with its Canary, and is then like a rollout of the team's own.
        """
        notes = target["metadata"].get("annotations") or {}
        remembered = self.stage.canary() is not None
        if not is_held(target):
            rolls = PROMOTING in notes and self.stage.phase() == Phase.PROMOTING
            self._half_way = image_of(target["spec"]["template"]) if rolls else ""
        elif not remembered or not self.stage.sizes().get(self._half_way):
            self._half_way = ""

    def _is_half_way(self, target: Json) -> bool:
        """Tell whether what rolled when it was held has pods beside the stable's."""
        notes, sizes = target["metadata"].get("annotations") or {}, self.stage.sizes()
        if not sizes.get(self._half_way):
            return False
        stable = [
            image_of(one["spec"]["template"])
            for one in self.stage.revisions()
            if template_hash(one["spec"]["template"])
            == Identities((one["spec"]["template"],)).current(notes.get(STABLE, ""))
        ]
        serves = any(sizes.get(it) for it in stable)
        return serves and self._half_way not in stable

    def settle(self) -> None:
        """Look at what is left once a run has ended.

        Raises:
            AssertionError: something is wrong, or was.

        """
        target = self.stage.api.look(DEPLOYMENTS, *PLACE)
        if target is not None and not is_held(target):
            notes = target["metadata"].get("annotations") or {}
            left = [mark for mark in (HOLD, STABLE, PROMOTING) if mark in notes]
            self.wrong += [f"{NAME} carries {mark} still" for mark in left]
        super().settle()


def _too_much(weight: int) -> str:
    return "has more than the stable lacks" if weight else "has a canary"
