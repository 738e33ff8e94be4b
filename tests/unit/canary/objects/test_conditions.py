"""The condition that carries a verdict: whose it is, and how it is taken off again."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import jsonpatch
import pytest

from canary.contract import HOLD, REFUSED
from canary.model.hashing import short_hash, template_hash
from canary.model.values import Json
from canary.objects.conditions import carries_verdict, outlived, refused, reopened, reopening
from tests.fakes import objects

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
AVAILABLE = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
BAD, NEXT = "web:2", "web:3"


def target(
    image: str = BAD, *, hold: bool = True, verdict: Json | None = None, was_refused: str = ""
) -> Json:
    """Return a held target; by default with the verdict on its own candidate."""
    obj = objects.deployment(image=image, paused=hold, annotations={})
    if hold:
        obj["metadata"]["annotations"][HOLD] = template_hash(obj["spec"]["template"])
    if was_refused:
        template = objects.deployment(image=was_refused)["spec"]["template"]
        obj["metadata"]["annotations"][REFUSED] = template_hash(template)
    obj["status"] = {"conditions": [AVAILABLE, verdict or refused("too many errors", NOW)]}
    return obj


def with_former_marks(obj: Json) -> Json:
    """Return a target as an earlier release marked it."""
    former = deepcopy(obj)
    former["metadata"]["annotations"][HOLD] = short_hash(obj["spec"]["template"])
    return former


def restarted(obj: Json) -> Json:
    after = deepcopy(obj)
    notes = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    after["spec"]["template"]["metadata"]["annotations"] = notes
    return after


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(target(), target(NEXT), True, id="the next candidate"),
        pytest.param(target(), target(NEXT, was_refused=BAD), True, id="one was refused before"),
        pytest.param(
            target("web:1", hold=False), target(NEXT), True, id="let go, and held with the next"
        ),
        pytest.param(target(), target(), False, id="the same candidate"),
        pytest.param(target(), restarted(target()), False, id="no other candidate"),
        pytest.param(with_former_marks(target()), target(), False, id="marks are written anew"),
        pytest.param(target(NEXT), target(was_refused=BAD), False, id="a refused one comes again"),
        pytest.param(target(), target(NEXT, hold=False), False, id="let go"),
        pytest.param(target(), target(NEXT, verdict=reopened(NOW)), False, id="no verdict"),
        pytest.param(
            target(verdict=reopened(NOW)), target(NEXT), False, id="the verdict came with it"
        ),
        pytest.param(
            target(), target(NEXT, verdict=refused("slow", NOW)), False, id="a verdict of its own"
        ),
    ],
)
def test_a_verdict_outlives_its_candidate(before: Json, after: Json, *, expected: bool) -> None:
    assert outlived(before, after) is expected


def operations(obj: Json) -> list[Json]:
    found = reopening(obj, refused("too many errors", NOW), NOW)
    assert found is not None
    return found


def test_reopening_writes_the_controller_s_own_condition_and_nothing_else() -> None:
    before = target(NEXT)
    after = jsonpatch.apply_patch(before, operations(before))
    assert after == {**before, "status": {"conditions": [AVAILABLE, reopened(NOW)]}}
    assert not carries_verdict(after)


def changed(**metadata: str) -> Json:
    obj = target(NEXT, was_refused=BAD)
    obj["metadata"] |= metadata
    return obj


def changed_verdict(condition: Json) -> Json:
    return target(NEXT, verdict=condition, was_refused=BAD)


OTHER_ORDER = target(NEXT, was_refused=BAD)
OTHER_ORDER["status"]["conditions"].reverse()


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(changed(uid="uid-another"), id="another Deployment"),
        pytest.param(target("web:4", was_refused=BAD), id="another candidate"),
        pytest.param(target(NEXT, was_refused=NEXT), id="refused meanwhile, in the same words"),
        pytest.param(target(NEXT, hold=False, was_refused=BAD), id="let go"),
        pytest.param(changed_verdict(refused("slow", LATER)), id="another verdict"),
        pytest.param(changed_verdict(reopened(NOW)), id="no verdict"),
        pytest.param(OTHER_ORDER, id="another order"),
    ],
)
def test_reopening_tests_what_it_rests_on(stored: Json) -> None:
    with pytest.raises((jsonpatch.JsonPatchException, jsonpatch.JsonPointerException)):
        jsonpatch.apply_patch(stored, operations(target(NEXT, was_refused=BAD)))


def test_reopening_rests_on_nothing_that_the_controller_writes() -> None:
    stored = changed(resourceVersion="77")
    stored["status"] |= {"observedGeneration": 9, "replicas": 4}
    assert not carries_verdict(jsonpatch.apply_patch(stored, operations(target(NEXT))))


def test_reopening_follows_the_verdict_and_takes_no_other() -> None:
    assert not carries_verdict(jsonpatch.apply_patch(OTHER_ORDER, operations(OTHER_ORDER)))
    verdict = refused("too many errors", NOW)
    assert reopening(target(NEXT, verdict=refused("slow", NOW)), verdict, NOW) is None
    assert reopening(target(NEXT, hold=False), verdict, NOW) is None
    assert reopening(objects.deployment(), verdict, NOW) is None
