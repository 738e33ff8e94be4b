"""What must be so of the target that shares the route, told from what is written."""

from dataclasses import dataclass, field
from datetime import timedelta

from canary.contract import HOLD, PROMOTING, STABLE
from canary.model.values import Json
from runtime.resources import DEPLOYMENTS, PODS
from tests.harness.api import Change
from tests.harness.controllers import image_of, is_ready
from tests.harness.ledger import ANSWERED, SWEPT, Overdue, is_held
from tests.harness.stage import NEXT, NEXT_CANARY, PLACE, SPACE, Stage

_ENDED = frozenset({"Initialized", "Succeeded", "Failed", ""})


@dataclass
class Next:
    """Watches the target that shares the route: nobody but its team touches it.

    Args:
        stage: where it is played.
        wrong: where what is wrong is written.

    """

    stage: Stage
    wrong: list[str]
    _served: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._overdue = Overdue(self.stage)

    def heard(self, change: Change) -> None:
        """Take in one write."""
        if not self.stage.shared:
            return
        target = self.stage.api.look(DEPLOYMENTS, SPACE, NEXT)
        if target is None:
            return
        if not is_held(target):
            self._served.add(image_of(target["spec"]["template"]))
        made = change.resource == PODS and change.old is None and change.new is not None
        if made and change.new is not None and self._is_its_pod(change.new):
            image = image_of(change.new)
            if is_held(target) and image not in self._served:
                self.wrong.append(f"{image} runs in {NEXT}, which is held")

    def look(self) -> None:
        """Look at what may be for a moment, and for no longer."""
        if not self.stage.shared:
            return
        found = dict[str, timedelta]()
        image, share = self._canary_image(), self._share()
        target = self.stage.api.look(DEPLOYMENTS, SPACE, NEXT)
        if share and not image:
            found[f"traffic goes to {NEXT_CANARY}, which is not there"] = SWEPT
        if target is not None and self.stage.is_labelled():
            asked = image_of(target["spec"]["template"])
            if share and image not in {"", asked}:
                found[f"{NEXT}: {image} has traffic, and {asked} is asked for"] = ANSWERED
            if share and not is_held(target) and PROMOTING not in _notes(target):
                found[f"{NEXT} has a share, and is neither held nor promoted"] = SWEPT
        self.wrong += self._overdue.look(found)

    def rests(self) -> bool:
        """Tell whether its runs have ended and all is as it is to be for ever."""
        if not self.stage.shared:
            return True
        target = self.stage.api.look(DEPLOYMENTS, SPACE, NEXT)
        if self._share() or self._canary_image() or target is None:
            return False
        if is_held(target):
            return self.stage.has_failed(NEXT)
        left = {HOLD, STABLE, PROMOTING} & _notes(target).keys()
        pods = [pod for pod in self.stage.api.peek(PODS) if self._is_its_pod(pod)]
        images = {image_of(pod) for pod in pods}
        ready = len(pods) == target["spec"].get("replicas", 1) and all(map(is_ready, pods))
        whole = ready and images == {image_of(target["spec"]["template"])}
        return whole and not left and self._phase() in _ENDED

    def _phase(self) -> str:
        return str(self.stage.status(NEXT).get("phase", ""))

    def _canary_image(self) -> str:
        found = self.stage.api.look(DEPLOYMENTS, SPACE, NEXT_CANARY)
        return "" if found is None else image_of(found["spec"]["template"])

    def _share(self) -> int:
        found = self.stage.api.look(self.stage.routes, *PLACE) or {}
        return sum(
            ref.get("weight", 1)
            for rule in (found.get("spec") or {}).get("rules") or ()
            for ref in rule["backendRefs"]
            if ref["name"] == NEXT_CANARY
        )

    @staticmethod
    def _is_its_pod(pod: Json) -> bool:
        metadata = pod["metadata"]
        name, ours = metadata["name"], f"{NEXT_CANARY}-"
        return (
            metadata["namespace"] == SPACE
            and name.startswith(f"{NEXT}-")
            and not name.startswith(ours)
        )


def _notes(target: Json) -> Json:
    notes: Json = target["metadata"].get("annotations") or {}
    return notes
