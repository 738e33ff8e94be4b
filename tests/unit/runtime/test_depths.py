"""What a JSON text would become is told before it is parsed, in one pass over it."""

import json
import time

import pytest

from runtime.values import shallow, too_deep, too_many_values

NEVER_ENDS = b'"' + b'\\"' * 500_000
"""A string without an end, in which each character could begin another one."""


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"", False),
        (b"1", False),
        (b'{"a": {"b": []}}', False),
        (b'{"a": {"b": [[]]}}', True),
        (b"[[[", False),
        (b"[[[[", True),
        (b"[[[],[],[],[]]]", False),
        (json.dumps({"a": '[[[[{{{{"'}).encode(), False),
        (b'"\\"[[[[', False),
        (b"]]]][[[[", False),
    ],
)
def test_depth_is_told_before_a_body_is_parsed(body: bytes, deep: bool) -> None:  # noqa: FBT001
    assert too_deep(body, 3) is deep


def test_a_string_that_never_ends_is_read_once() -> None:
    began = time.process_time()

    for end in (b"", b"\\"):
        assert not too_deep(NEVER_ENDS + end, 3)
        assert shallow(NEVER_ENDS + end, 3) == NEVER_ENDS + end
        assert not too_many_values(b"," * 9 + NEVER_ENDS + b"," * 9 + end, 9)

    # Read again from each of its characters, it took hours.
    assert time.process_time() - began < 10
