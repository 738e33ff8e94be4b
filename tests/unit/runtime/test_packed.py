"""Objects as they are kept in lists: what is found by a word is found in whatever form it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.packed import EVERY, LARGEST, Json, mask_of, packed

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
AROUND = st.sampled_from(
    [
        "{}",
        "{}.prod.svc.cluster.local",
        "prod/{}",
        '{{"targets":{{"{}":{{"weight":5}}}}}}',
        "x {}\n",
    ]
)


@given(name=NAMES, around=AROUND, others=st.lists(NAMES, max_size=30))
def test_an_object_that_has_a_name_may_name_it(name: str, around: str, others: list[str]) -> None:
    obj = {"spec": {"rules": [{"to": around.format(name)}, *others]}}
    kept = packed(obj, by_words=True)
    assert kept is not None
    assert kept.may_name(mask_of([name]))
    assert kept.may_name(mask_of(["another", name]))
    assert kept.may_name(EVERY)
    assert kept.unpacked() == obj


def test_most_others_are_told_apart() -> None:
    obj = {"spec": {"backendRefs": [{"name": "web", "port": 80, "weight": 10}]}}
    kept = packed(obj, by_words=True)
    assert kept is not None
    found = [it for it in range(1_000) if kept.may_name(mask_of([f"app-{it}"]))]
    assert len(found) < 50
    assert not kept.may_name(mask_of(["neither-here-nor-there"]))
    plain = packed(obj)
    assert plain is not None
    assert plain.may_name(mask_of(["neither-here-nor-there"])), "nobody asks for its words"


@pytest.mark.parametrize("name", ["web.example", "prod/web", "", "Web"])
def test_what_is_no_single_word_may_be_anywhere(name: str) -> None:
    assert mask_of(["web", name]) == EVERY


@pytest.mark.parametrize("obj", [{"x": "x" * LARGEST}, {"x": object()}])
def test_what_is_too_large_or_cannot_be_written_is_not_packed(obj: Json) -> None:
    assert packed(obj) is None
