"""How much a JSON text would become, and how deep, told before it is parsed."""

import re
from typing import Final

_OPENING: Final = 2
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
"""A string of JSON. One that never ends goes to the end of the text, so that none is read twice."""
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_MARKS: Final = re.compile(_STRING + rb"|[][{}]", re.DOTALL)


def too_many_values(body: bytes | bytearray, limit: int) -> bool:
    """Tell whether a body holds more values than are read, without parsing it.

    Each value but the first of its array or object follows a comma, so that commas and openings
    bound their number. Those within strings count for nothing; they are looked at, one string at a
    time, only where it matters, as that takes ten times as long.
    """
    found = _values(body)
    if found <= limit:
        return False
    for string in _STRINGS.finditer(body):
        found -= _values(string[0])
        if found <= limit:
            return False
    return True


def _values(body: bytes | bytearray) -> int:
    return body.count(b",") + _OPENING * (body.count(b"{") + body.count(b"["))


def too_deep(body: bytes | bytearray, deepest: int) -> bool:
    """Tell whether a body nests deeper than it is read, without parsing it.

    Args:
        body: a JSON text, or what may be none.
        deepest: how many levels are read.

    """
    depth = 0
    for mark in _MARKS.finditer(body):
        if mark[0] in b"[{":
            depth += 1
            if depth > deepest:
                return True
        elif mark[0] in b"]}":
            depth -= 1
    return False


def shallow(body: bytes | bytearray, deepest: int) -> bytes:
    """Return a body with null in place of each array and object that lies too deep.

    Args:
        body: a JSON text; what is none stays none.
        deepest: how many levels stay.

    """
    parts, begin, depth = list[bytes](), 0, 0
    for mark in _MARKS.finditer(body):
        if mark[0] in b"[{":
            depth += 1
            if depth == deepest + 1:
                parts += (bytes(body[begin : mark.start()]), b"null")
        elif mark[0] in b"]}":
            depth -= 1
            if depth == deepest:
                begin = mark.end()
    # What never ends is no JSON, and is left so.
    return b"".join((*parts, bytes(body[begin:]))) if depth <= deepest else bytes(body)
