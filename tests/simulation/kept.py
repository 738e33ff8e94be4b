"""Results of rows that are kept in a folder, so that a long simulation goes on where it was.

A result is taken for that of a row only under the very same key: the row's name, the function that
runs it with its arguments, the number of runs, the seed, and a hash of all sources that its module
rests on, with the versions of Python and of others' libraries. Whatever of that is another, the row
is run anew. What is kept stays on this machine (`build/` is not in Git).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

from tests.simulation.row import SEED, Result, Row
from tests.simulation.sources import ROOT, sources_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A row that was run: what it showed, its seconds of processor time, and on which commit."""

    result: Result
    seconds: float
    commit: str


class Kept:
    """The folder of results of rows, on the sources of a checkout as they are when it is made.

    Make it when the rows were just imported. Several simulations may share a folder.
    """

    def __init__(self, folder: Path, rows: Iterable[Row], commit: str, root: Path = ROOT) -> None:
        self._folder = folder
        self._commit = commit
        self._root = root
        modules = {_function(row).__module__ for row in rows if row.lasting}
        self._sources = {module: sources_of(module, root) for module in modules}

    def found(self, row: Row, runs: int) -> Finished | None:
        """Return what was kept of a row with so many runs, None where it is to be run."""
        if not row.lasting:
            return None
        key = self._key(row, runs)
        try:
            stored = json.loads(self._path(key).read_text())
            if stored["key"] != key:
                return None
            return Finished(
                result=Result(text=str(stored["text"]), ok=stored["ok"] is True),
                seconds=float(stored["seconds"]),
                commit=str(stored["commit"]),
            )
        except (OSError, ValueError, LookupError, TypeError):
            # Not there, or half of it: then it is run.
            return None

    def keep(self, row: Row, runs: int, result: Result, seconds: float) -> bool:
        """Keep what a row showed.

        Returns:
            Whether it may be found again: not where the row measures the machine, nor where the
            sources are no longer those that were run.

        Raises:
            OSError: it cannot be written.

        """
        module = _function(row).__module__
        if not row.lasting or sources_of(module, self._root) != self._sources[module]:
            return False
        key = self._key(row, runs)
        stored = {
            "key": key,
            "text": result.text,
            "ok": result.ok,
            "seconds": seconds,
            "commit": self._commit,
        }
        _write(self._path(key), json.dumps(stored, indent=1))
        return True

    def _key(self, row: Row, runs: int) -> Mapping[str, Any]:
        sources = self._sources[_function(row).__module__]
        return {
            "row": f"{row.table}: {row.name}",
            "aim": row.aim,
            "run": told(row.run),
            "runs": runs,
            "seed": SEED,
            "sources": sources.digest,
            "others": dict(sources.others),
        }

    def _path(self, key: Mapping[str, Any]) -> Path:
        written = json.dumps(key, sort_keys=True).encode()
        return self._folder / f"{hashlib.sha256(written).hexdigest()[:32]}.json"


def told(value: object) -> str:
    """Write a parameter so that two that differ are written differently.

    Raises:
        TypeError: it is of a kind of which that is not known.

    """
    match value:
        case None | bool() | int() | float() | str():
            return repr(value)
        case tuple():
            return f"({', '.join(map(told, value))})"
        case partial():
            named = (f"{name}={told(one)}" for name, one in sorted(value.keywords.items()))
            return f"{told(value.func)}({', '.join([*map(told, value.args), *named])})"
        case FunctionType():
            # Its text is among the sources; what it has closed over is not.
            closed = [told(cell.cell_contents) for cell in value.__closure__ or ()]
            return f"{value.__module__}.{value.__qualname__}[{', '.join(closed)}]"
        case _ if is_dataclass(value) and not isinstance(value, type):
            said = (f"{one.name}={told(getattr(value, one.name))}" for one in fields(value))
            return f"{type(value).__qualname__}({', '.join(said)})"
        case _:
            raise TypeError(f"a parameter of a row that cannot be told from others: {value!r}")


def _function(row: Row) -> FunctionType:
    found = row.run.func if isinstance(row.run, partial) else row.run
    if not isinstance(found, FunctionType):
        raise TypeError(f"{row.name} is not run by a function of a module")
    return found


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, whoever writes it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.replace(path)
