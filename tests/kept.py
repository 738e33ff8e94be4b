"""Texts that are kept beside their tests: what comes out of the code, written down in full.

Where such a text changes, either that is what was wanted (`KEPT=write` with pytest writes
it anew, and the difference is read in review) or it is a fault.
"""

import os
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path


def shown(value: object, since: datetime | None = None) -> str:
    """Return a value as a reader takes it in: of an object what is not as usual.

    Args:
        value: any value; of dataclasses the fields that have their default are left out.
        since: where times are counted from; they are written out without it.

    """
    match value:
        case datetime() if since is not None:
            return f"+{value - since}"
        case tuple() | list():
            return f"({', '.join(shown(one, since) for one in value)})"
        case frozenset() | set():
            return f"{{{', '.join(sorted(shown(one, since) for one in value))}}}"
        case _ if is_dataclass(value) and not isinstance(value, type):
            said = (
                f"{one.name}={shown(getattr(value, one.name), since)}"
                for one in fields(value)
                if getattr(value, one.name) != one.default
            )
            return f"{type(value).__name__}({', '.join(said)})"
        case _:
            return str(value) or "-"


def is_as_kept(path: Path, text: str) -> None:
    """Hold a text against the one that is kept.

    Args:
        path: of the text that is kept.
        text: what came out.

    Raises:
        AssertionError: they differ.

    """
    if os.environ.get("KEPT") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text.splitlines() == path.read_text().splitlines()
