"""What an API server does with an apply: who owns which fields, and what an apply rests on."""

import pytest

from canary.model.values import Json
from runtime.errors import Conflict, NotFound
from runtime.resources import SERVICES
from runtime.writes import MAKER, applied
from tests.contract.place import Place


def _service(place: Place, labels: Json, **metadata: object) -> Json:
    return {
        "metadata": {"name": "s", "namespace": place.namespace, "labels": labels, **metadata},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
    }


def _selecting(place: Place, selector: Json) -> Json:
    made = _service(place, {})
    return {**made, "spec": {**made["spec"], "selector": selector}}


def _labels(found: Json) -> Json:
    return dict(found["metadata"].get("labels") or {})


async def an_apply_takes_away_what_it_wants_no_more(place: Place) -> None:
    server = place.server
    await server.apply(SERVICES, _service(place, {"a": "1", "b": "1"}, annotations={"x": "1"}))
    theirs = {"metadata": {"labels": {"c": "1"}, "annotations": {"y": "1"}}}
    await server.merge_patch(SERVICES, place.namespace, "s", theirs, field_manager="somebody")
    after = await server.apply(SERVICES, _service(place, {"a": "1"}))
    assert _labels(after) == {"a": "1", "c": "1"}
    assert after["metadata"]["annotations"] == {"y": "1"}


async def the_same_apply_again_is_no_write(place: Place) -> None:
    first = await place.server.apply(SERVICES, _service(place, {"a": "1"}))
    again = await place.server.apply(SERVICES, _service(place, {"a": "1"}))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def what_another_owns_is_taken_by_force_alone(place: Place) -> None:
    server = place.server
    await server.apply(SERVICES, _service(place, {"a": "1"}), field_manager="one")
    with pytest.raises(Conflict):
        await server.apply(SERVICES, _service(place, {"a": "2"}), field_manager="two", force=False)
    taken = await server.apply(SERVICES, _service(place, {"a": "2"}), field_manager="two")
    assert _labels(taken) == {"a": "2"}
    back = await server.apply(SERVICES, _service(place, {}), field_manager="one")
    assert _labels(back) == {"a": "2"}


async def what_two_own_stays_while_one_wants_it(place: Place) -> None:
    server = place.server
    await server.apply(SERVICES, _service(place, {"a": "1", "b": "1"}), field_manager="one")
    await server.apply(SERVICES, _service(place, {"a": "1", "b": "1"}), field_manager="two")
    left = await server.apply(SERVICES, _service(place, {"a": "1"}), field_manager="one")
    assert _labels(left) == {"a": "1", "b": "1"}
    left = await server.apply(SERVICES, _service(place, {"a": "1"}), field_manager="two")
    assert _labels(left) == {"a": "1"}


async def a_selector_is_one_field(place: Place) -> None:
    server = place.server
    await server.apply(SERVICES, _selecting(place, {"a": "1", "b": "1"}), field_manager="one")
    theirs = {"spec": {"selector": {"c": "1"}}}
    await server.merge_patch(SERVICES, place.namespace, "s", theirs, field_manager="somebody")
    after = await server.apply(SERVICES, _selecting(place, {"a": "1"}), field_manager="one")
    assert after["spec"]["selector"] == {"a": "1"}


async def an_apply_rests_on_a_version_and_a_uid(place: Place) -> None:
    server = place.server
    old = await server.apply(SERVICES, _service(place, {"a": "1"}))
    note = {"metadata": {"annotations": {"example.com/note": "x"}}}
    newer = await server.merge_patch(SERVICES, place.namespace, "s", note)
    known = {key: old["metadata"][key] for key in ("uid", "resourceVersion")}
    with pytest.raises(Conflict):
        await server.apply(SERVICES, _service(place, {"a": "2"}, **known))
    known["resourceVersion"] = newer["metadata"]["resourceVersion"]
    after = await server.apply(SERVICES, _service(place, {"a": "2"}, **known))
    assert _labels(after) == {"a": "2"}
    await server.delete(SERVICES, place.namespace, "s")
    with pytest.raises(Conflict):
        await server.apply(SERVICES, _service(place, {"a": "2"}, **known))
    with pytest.raises(NotFound):
        await server.get(SERVICES, place.namespace, "s")


async def what_was_made_is_handed_over_before_it_is_applied(place: Place) -> None:
    wanted = _service(place, {"a": "1", "b": "1"}, annotations={"x": "1"})
    made = await applied(place.server, SERVICES, wanted, None)
    assert MAKER in {one["manager"] for one in made["metadata"]["managedFields"]}
    after = await applied(place.server, SERVICES, _service(place, {"a": "1"}), made)
    assert _labels(after) == {"a": "1"}
    assert not after["metadata"].get("annotations")
    assert MAKER not in {one["manager"] for one in after["metadata"]["managedFields"]}


APPLIES = (
    an_apply_takes_away_what_it_wants_no_more,
    the_same_apply_again_is_no_write,
    what_another_owns_is_taken_by_force_alone,
    what_two_own_stays_while_one_wants_it,
    a_selector_is_one_field,
    an_apply_rests_on_a_version_and_a_uid,
    what_was_made_is_handed_over_before_it_is_applied,
)
