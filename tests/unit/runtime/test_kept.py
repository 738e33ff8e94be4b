"""What is kept of objects: all of them packed, or their names."""

from typing import Any

from runtime.kept import Packed, Whole


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
    assert bounded.size < 2_500
    assert bounded["shop", "0"] == obj("0", spec=0)
    assert bounded["shop", "99"] == obj("99")
    for number in range(100):
        bounded.drop(("shop", str(number)))
    assert bounded.size == 0
