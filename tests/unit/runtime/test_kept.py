"""What is kept of objects: all of them packed, or their names."""

import os
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.answers import DEEPEST, decode
from runtime.errors import Unavailable
from runtime.kept import SMALLEST, Packed, Whole


def obj(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": name, "resourceVersion": str(version)}
    return {"metadata": metadata, **more}


def test_what_is_packed_reads_as_it_was_put() -> None:
    for kept in (Whole(), Packed(10_000)):
        kept.put(("shop", "a"), obj("a", 3, spec={"x": [1, None, "\u00e9"]}))
        assert kept["shop", "a"] == obj("a", 3, spec={"x": [1, None, "\u00e9"]})
        assert kept.version(("shop", "a")) == "3"
        assert kept.is_whole(("shop", "a"))
        kept.put(("shop", "a"), obj("a", 4))
        assert (kept["shop", "a"], kept.version(("shop", "a")), len(kept)) == (obj("a", 4), "4", 1)
        kept.drop(("shop", "a"))
        assert (list(kept), kept.version(("shop", "a"))) == ([], None)


def test_what_is_not_wanted_is_known_by_its_name() -> None:
    kept = Packed(10_000, whole=lambda it: "spec" in it)
    kept.put(("shop", "a"), obj("a", 3, status={"x": 1}))
    assert kept["shop", "a"] == obj("a", 3)
    assert (kept.version(("shop", "a")), kept.is_whole(("shop", "a")), kept.size) == ("3", False, 0)


def test_neither_one_object_nor_all_of_them_are_more_than_may_be() -> None:
    kept = Packed(2_000, largest=100, less=lambda it: {**obj(it["metadata"]["name"]), "less": 1})
    kept.put(("shop", "fat"), obj("fat", spec="".join(map(chr, range(1000, 1500)))))
    assert kept["shop", "fat"] == {**obj("fat"), "less": 1}
    kept.put(("shop", "dense"), obj("dense", spec="x" * 10_000))
    assert kept["shop", "dense"] == {**obj("dense"), "less": 1}
    bounded = Packed(2_000)
    for number in range(100):
        bounded.put(("shop", str(number)), obj(str(number), spec=number))
    assert len(bounded) == 100
    assert bounded.size <= 2_000
    assert bounded["shop", "0"] == obj("0", spec=0)
    assert bounded["shop", "99"] == obj("99")
    for number in range(100):
        bounded.drop(("shop", str(number)))
    assert bounded.size == 0


def bytes_of(number: int) -> str:
    return os.urandom(number // 2).hex()


def test_what_is_kept_of_large_objects_has_the_same_bound_as_they() -> None:
    kept = Packed(
        20_000,
        largest=3_000,
        less=lambda it: {"metadata": it["metadata"], "status": it["status"][:2_000]},
        least=lambda it: {"metadata": it["metadata"]},
    )
    for number in range(100):
        kept.put(("shop", str(number)), obj(str(number), status=bytes_of(10_000)))
        kept.put(("shop", "small"), obj("small", spec=number))
    assert kept.size <= 20_000
    assert len(kept["shop", "0"]["status"]) == 2_000
    assert kept["shop", "99"] == obj("99")
    assert kept.is_whole(("shop", "99"))
    for place in list(kept):
        kept.drop(place)
    assert kept.size == 0
    kept.put(("shop", "99"), obj("99", spec=1))
    assert (kept["shop", "99"], kept.size > 0) == (obj("99", spec=1), True)


def test_the_least_is_a_name_where_it_is_not_small() -> None:
    kept = Packed(0, least=lambda it: it)
    kept.put(("shop", "fat"), obj("fat", spec=bytes_of(SMALLEST * 4)))
    kept.put(("shop", "thin"), obj("thin", spec=1))
    assert (kept["shop", "fat"], kept["shop", "thin"]) == (obj("fat"), obj("thin", spec=1))


def deep(depth: int, *, lists: bool) -> str:
    """Return a JSON text of so many levels."""
    begin, end = ("[", "]") if lists else ('{"f:x":', "}")
    return f'{begin * depth}"]}}"{end * depth}'


@given(depth=st.integers(1, 12_000), lists=st.booleans(), less_too=st.booleans())
def test_an_object_of_any_depth_is_read_and_kept_and_all_others_with_it(
    depth: int, *, lists: bool, less_too: bool
) -> None:
    text = orjson.dumps(obj("deep"))[:-1] + f',"status":{deep(depth, lists=lists)}}}'.encode()
    kept = Packed(
        100_000,
        less=lambda it: it if less_too else {"metadata": it["metadata"], "less": 1},
        least=lambda it: {"metadata": it["metadata"], "least": 1},
    )
    kept.put(("shop", "deep"), decode(text))
    kept.put(("shop", "other"), obj("other"))
    found = kept["shop", "deep"]
    assert (found["metadata"], kept.version(("shop", "deep"))) == (obj("deep")["metadata"], "1")
    assert "status" in found or found[("least" if less_too else "less")] == 1
    assert ("status" in found) is (depth <= 253 or depth > 1_023)
    assert kept["shop", "other"] == obj("other")


def test_of_what_is_too_deep_only_that_is_left_out() -> None:
    text = f'{{"a":"[{{","b":{deep(2_000, lists=False)},"c":[1,{deep(1_999, lists=True)},2]}}'
    found = decode(text.encode())
    assert (found["a"], found["c"][0], found["c"][2]) == ("[{", 1, 2)
    levels, part = 1, found["b"]
    while part is not None:
        levels, part = levels + 1, part["f:x"]
    assert levels == DEEPEST


@pytest.mark.parametrize("text", [b"[" * 5_000, b"}" * 5_000, b'{"a":', b'"' * 5_001])
def test_what_is_no_json_is_none_however_deep_it_is(text: bytes) -> None:
    with pytest.raises(Unavailable):
        decode(text)


def test_a_form_that_does_not_find_what_it_looks_for_keeps_nothing_from_being_known() -> None:
    kept = Packed(0, less=lambda it: {"x": it["spec"]}, least=lambda it: {"x": it["spec"]})
    kept.put(("shop", "bare"), obj("bare"))
    assert kept["shop", "bare"] == obj("bare")
