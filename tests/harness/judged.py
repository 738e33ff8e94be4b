"""What must be so whatever happens: the ledger's rules, and those of a world of random events."""

from dataclasses import dataclass
from typing import Final

from canary.contract import ANALYZER_USER, HOLD, STABLE, Command
from canary.model.hashing import template_hash
from canary.model.values import Json
from runtime.resources import CANARIES, DEPLOYMENTS
from tests.harness.api import Change
from tests.harness.controllers import image_of, is_ready
from tests.harness.ledger import Ledger
from tests.harness.stage import NAME, PLACE

_ENDED: Final = frozenset({"Initialized", "Succeeded", "Failed"})


@dataclass
class Judged(Ledger):
    """A ledger that also says why a candidate may be released, and when all is over."""

    _held: str = ""
    _since: int = 0

    def heard(self, change: Change) -> None:
        """Take in one write."""
        super().heard(change)
        if change.resource != DEPLOYMENTS or change.new is None:
            return
        if change.new["metadata"]["name"] != NAME or change.new["metadata"]["namespace"] != "prod":
            return
        notes = change.new["metadata"].get("annotations") or {}
        if change.writer.user == ANALYZER_USER and change.old is not None:
            self._is_earned(change.old, change.new)
        if notes.get(HOLD, "") != self._held:
            self._held, self._since = notes.get(HOLD, ""), len(self.stage.answers.asked)

    def _is_earned(self, old: Json, new: Json) -> None:
        """A candidate is released by its own checks or by somebody's word."""
        before = old["metadata"].get("annotations") or {}
        if HOLD not in before or new["spec"].get("paused") or not old["spec"].get("paused"):
            return
        found = self.stage.api.look(CANARIES, *PLACE) or {}
        forced = ((found.get("status") or {}).get("run") or {}).get("forced")
        own = before.get(STABLE) == template_hash(new["spec"]["template"])
        # Metrics that nobody has named are no condition where neither version has them.
        named = bool((found.get("spec") or {}).get("analysis", {}).get("metrics"))
        if forced or own or Command.PROMOTE in before or not named:
            return
        image = image_of(new["spec"]["template"])
        if self._serves_already(image):
            return
        asked = self.stage.answers.asked[self._since :]
        passed = [value for whose, value in asked if whose == image and value is not None]
        if not [value for value in passed if value <= 1]:
            self.wrong.append(f"{image} was promoted although nothing was asked of it")

    def _serves_already(self, image: str) -> bool:
        """Tell whether an image is what serves most, or is to serve alone, whatever the marks say.

        Of a target that was just made no pod is ready yet; nothing else ever served there.
        """
        serving = self.stage.serving()
        if serving:
            return serving.get(image, 0) == max(serving.values())
        sizes = self.stage.sizes()
        # One that was paused before its controller had seen it has no ReplicaSet at all.
        return not sizes.keys() - {image} or {it for it in sizes if sizes[it]} == {image}

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
        if self.strays():  # those of a target that has gone are swept every few minutes
            return False
        if not stage.has_target():
            return True
        target = stage.target()
        wanted = target["spec"].get("replicas", 1)
        pods = stage.target_pods()
        if len(pods) != wanted or not all(map(is_ready, pods)):
            return False
        held = HOLD in (target["metadata"].get("annotations") or {})
        image = image_of(target["spec"]["template"])
        if held:
            return stage.phase() == "Failed" and {image_of(pod) for pod in pods} != {image}
        ended = stage.phase() in {*_ENDED, ""}
        return ended and {image_of(pod) for pod in pods} <= {image}
