"""Annotations that nobody reads are named, with what may be meant; those that are read are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import contract
from canary.contract import BAKE, CANARY_ANNOTATIONS, DECIDE_WITHIN, DOMAIN, HOLD, OPT_OUT, Command
from canary.model.keys import (
    ON_CANARIES,
    ON_TARGETS,
    unknown_on_canary,
    unknown_on_target,
)
from canary.spec.settings import TABLE


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"{DOMAIN}/decide-witin", f"is not known; did you mean {DECIDE_WITHIN}?"),
        (f"{DOMAIN}/decidewithin", f"is not known; did you mean {DECIDE_WITHIN}?"),
        (f"{DOMAIN}/on-nodata", "is not known; did you mean headgate.dev/on-no-data?"),
        (f"{DOMAIN}/Bake", f"is not known; did you mean {BAKE}?"),
        (Command.PROMOTE, "is read on the Deployment and not here; move it there"),
        (OPT_OUT, "is read on the Deployment and not here; move it there"),
    ],
)
def test_what_nobody_reads_on_a_canary_is_named(key: str, said: str) -> None:
    assert unknown_on_canary([key, DECIDE_WITHIN]) == (f"{key} {said}",)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"{DOMAIN}/promotee", f"is not known; did you mean {Command.PROMOTE}?"),
        (f"{DOMAIN}/canry", f"is not known; did you mean {OPT_OUT}?"),
        (DECIDE_WITHIN, "is read on a Canary and not here; move it there"),
        (f"{DOMAIN}/decide-witin", f"is not known; did you mean {DECIDE_WITHIN}?"),
        # Marks are Headgate's own: nobody is told to write one.
        (f"{DOMAIN}/holt", "is not known"),
    ],
)
def test_what_nobody_reads_on_a_target_is_named(key: str, said: str) -> None:
    (text,) = unknown_on_target([key, HOLD, Command.ABORT])
    assert text.startswith(f"{key} {said}")
    assert HOLD not in text


@given(st.lists(st.sampled_from(sorted(ON_TARGETS)) | st.text().filter(lambda t: DOMAIN not in t)))
def test_what_is_read_and_what_is_of_others_is_no_matter(keys: list[str]) -> None:
    assert unknown_on_target(keys) == ()


@given(st.sets(st.sampled_from(sorted(ON_CANARIES)) | st.just("example.com/headgate.dev")))
def test_the_annotations_of_a_canary_are_known(keys: set[str]) -> None:
    assert unknown_on_canary(keys) == ()


def test_the_contract_lists_what_the_table_of_settings_reads() -> None:
    assert {*CANARY_ANNOTATIONS, ""} == {setting.annotation for setting in TABLE}


def test_every_mark_of_a_target_is_known() -> None:
    marks = {*contract.INTERNAL_ANNOTATIONS, *contract.COMMANDS, contract.CANDIDATE, OPT_OUT}
    assert marks == ON_TARGETS
