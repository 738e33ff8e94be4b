"""Each command carries the name of who gave it: as it is written, and as it is told."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.admission.facts import Allowances, Allowed, Write
from canary.admission.targets import admit
from canary.contract import COMMANDS, HOLD, REQUESTED_BY, STABLE, Command
from canary.model.hashing import template_hash
from canary.model.signatures import giver_of, givers_of, signature
from canary.model.values import Json
from tests.fakes.bench import KEY, Bench, held, ready
from tests.fakes.objects import annotated, deployment

V1, V2 = (deployment(image=f"web:{n}") for n in (1, 2))
H1, H2 = (template_hash(obj["spec"]["template"]) for obj in (V1, V2))
HELD = deployment(image="web:2", paused=True, annotations={HOLD: H2, STABLE: H1})
PAIRS = list(itertools.permutations(sorted(COMMANDS), 2))
names = st.text(st.characters(codec="utf-8"), max_size=20) | st.just('{"abort":"alice"}')


def write(old: Json, marks: dict[str, str | None], user: str) -> Json:
    """Write commands as a user does, through the webhook; return what is stored."""
    new = annotated(old, marks)
    answer = admit(Write(old=old, new=new, user=user), Allowances())
    assert isinstance(answer, Allowed)
    return annotated(new, answer.annotations)


def signed(obj: Json) -> dict[Command, str]:
    notes = obj["metadata"]["annotations"]
    standing = [command for command in sorted(COMMANDS) if command in notes]
    return givers_of(notes.get(REQUESTED_BY, ""), standing)


@given(st.dictionaries(st.sampled_from(sorted(COMMANDS)), names.filter(bool)))
def test_what_is_written_is_read(givers: dict[Command, str]) -> None:
    assert givers_of(signature(givers) or "", givers) == givers


@given(st.text() | st.just("{") | st.just('{"abort":1}') | st.just("{}"))
def test_whatever_stands_there_is_read(text: str) -> None:
    assert isinstance(giver_of(text, Command.ABORT), str)


def test_a_name_cannot_speak_for_others() -> None:
    stored = write(HELD, {Command.PROMOTE: "now"}, '{"promote":"alice","abort":"alice"}')
    assert signed(stored) == {Command.PROMOTE: '{"promote":"alice","abort":"alice"}'}


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_each_command_has_its_giver(first: Command, second: Command) -> None:
    stored = write(write(HELD, {first: "now"}, "alice"), {second: "now"}, "bob")
    assert signed(stored) == {first: "alice", second: "bob"}


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_who_takes_one_back_has_not_given_the_other(first: Command, second: Command) -> None:
    both = write(HELD, {first: "now", second: "now"}, "alice")
    stored = write(both, {second: None}, "bob")
    assert signed(stored) == {first: "alice"}
    assert stored["metadata"]["annotations"][REQUESTED_BY] == "alice"


def test_who_changes_a_command_has_given_it_and_who_writes_it_again_has_not() -> None:
    paused = write(HELD, {Command.PAUSE: "true"}, "alice")
    assert signed(write(paused, {Command.PAUSE: "true"}, "bob")) == {Command.PAUSE: "alice"}
    assert signed(write(paused, {Command.PAUSE: "false"}, "bob")) == {Command.PAUSE: "bob"}


def test_another_s_signature_cannot_be_written_along() -> None:
    forged = {Command.ABORT: "now", REQUESTED_BY: '{"abort":"carol","promote":"carol"}'}
    stored = write(write(HELD, {Command.PROMOTE: "now"}, "alice"), dict(forged), "bob")
    assert signed(stored) == {Command.PROMOTE: "alice", Command.ABORT: "bob"}


async def test_events_name_the_giver_of_each() -> None:
    bench = held(Bench())
    for _ in range(4):
        await bench.reconcile()
        ready(bench)
    target = bench.target(KEY)
    assert target is not None
    target = write(target, {Command.PAUSE: "true"}, "alice")
    notes = write(target, {Command.ABORT: "now"}, "bob")["metadata"]["annotations"]
    bench.write("web:2", notes, paused=True)
    for _ in range(6):
        await bench.reconcile()
    said = bench.events()
    assert any("aborted by bob" in message for message in said), said
    assert any("paused by alice" in message for message in said), said
    left = (bench.target(KEY) or {})["metadata"]["annotations"]
    assert not (left.keys() & {*COMMANDS, REQUESTED_BY})


async def test_what_was_aborted_is_not_promoted_by_a_command_that_stood_beside() -> None:
    bench = held(Bench())
    for _ in range(4):
        await bench.reconcile()
        ready(bench)
    target = bench.target(KEY)
    assert target is not None
    for command, who in (
        (Command.PROMOTE, "alice"),
        (Command.RETRY, "carol"),
        (Command.ABORT, "bob"),
    ):
        target = write(target, {command: "now"}, who)
    bench.write("web:2", target["metadata"]["annotations"], paused=True)
    for _ in range(6):
        await bench.reconcile()
    said = bench.events()
    assert any("aborted by bob" in message for message in said), said
    assert not any("alice" in message or "carol" in message for message in said), said
    stored = bench.target(KEY) or {}
    assert stored["spec"]["paused"]
    assert HOLD in stored["metadata"]["annotations"]
    assert not (stored["metadata"]["annotations"].keys() & {*COMMANDS, REQUESTED_BY})


def test_a_signature_that_nests_without_an_end_names_nobody() -> None:
    assert givers_of('{"a":' * 9_000, [Command.ABORT]) == {Command.ABORT: ""}
