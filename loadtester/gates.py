"""Gates that people open and shut, as Flagger's load tester has them, kept over a restart.

A gate is shut until somebody opens it. What was said of gates lies in one file, written before it
is answered. Where that file cannot be read, nobody knows how the gates were: it is set aside, and
each gate is in doubt until somebody says anew how it is to be.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import orjson
import structlog
from prometheus_client import CollectorRegistry, Gauge

from loadtester.state_file import StateFile

MOST_GATES: Final = 1000
"""Gates that are remembered: the Canaries of a namespace are some dozens."""
_LARGEST: Final = 1024 * 1024
"""Bytes of the file: as many names as there may be, of the longest."""
_LONGEST_KEY: Final = 400
FILE: Final = "gates.json"

log = structlog.get_logger("loadtester")


class GatesError(Exception):
    """What was asked of a gate cannot be done; the message is the answer."""


class TooManyGates(GatesError):  # noqa: N818 - it names what happened
    """As many gates as can be remembered are."""


class Kind(StrEnum):
    """What a gate is for; it is the first part of the path."""

    GATE = "gate"
    ROLLBACK = "rollback"


class Position(StrEnum):
    """How a gate is."""

    OPEN = "open"
    SHUT = "shut"
    IN_DOUBT = "in-doubt"


class Gates:
    """All gates of a namespace.

    Args:
        folder: where they are kept over a restart; "": nowhere.
        registry: where they are counted.
        file: where they are kept, None for the one in the folder.

    """

    def __init__(
        self, folder: str, registry: CollectorRegistry, *, file: StateFile | None = None
    ) -> None:
        self._file = file or StateFile(folder, FILE, largest=_LARGEST)
        self._said: dict[str, bool] = {}
        self._why_in_doubt = ""
        self._to_set_aside = False
        self._writing = asyncio.Lock()
        self._count(registry, "open", "Gates that are open.", lambda: len(self.open))
        self._count(
            registry,
            "in_doubt",
            "1 where the file of the gates could not be read, until it is looked at.",
            lambda: float(bool(self._why_in_doubt)),
        )

    @staticmethod
    def _count(
        registry: CollectorRegistry, name: str, told: str, value: Callable[[], float]
    ) -> None:
        gauge = Gauge(f"headgate_loadtester_gates_{name}", told, registry=registry)
        gauge.set_function(value)

    @property
    def open(self) -> list[str]:
        """The gates that are open, as kind/name.namespace."""
        return sorted(key for key, is_open in self._said.items() if is_open)

    @property
    def why_in_doubt(self) -> str:
        """Why gates of which nothing was said since are in doubt, "" where they are not."""
        return self._why_in_doubt

    def load(self) -> None:
        """Read what was kept; it waits for the disk."""
        try:
            self._said = _decoded(self._file.read())
        except (OSError, ValueError, TypeError) as error:
            self._to_set_aside = True
            try:
                self._set_aside()
            except OSError as again:
                self._doubt(f"{self._file} could not be read ({error}) nor set aside ({again})")
                return
            self._doubt(f"{self._file} could not be read ({error})")
            return
        if aside := self._file.aside():
            self._doubt(f"{aside[0]} is there, which could not be read once")
        else:
            self._said = dict.fromkeys(self.open, True)

    def _doubt(self, why: str) -> None:
        self._why_in_doubt = why
        aside = self._file.aside()
        log.error("gates_in_doubt", why=why, set_aside=aside)

    def position(self, kind: Kind, canary: str) -> Position:
        """Tell how a gate is.

        Args:
            kind: what it is for.
            canary: whose it is, as name.namespace.

        """
        match self._said.get(f"{kind}/{canary}"):
            case True:
                return Position.OPEN
            case False:
                return Position.SHUT
            case None:
                return Position.IN_DOUBT if self._why_in_doubt else Position.SHUT

    async def move(self, kind: Kind, canary: str, *, is_open: bool) -> None:
        """Open or shut a gate; once this returns, a restart does not change it.

        Args:
            kind: what it is for.
            canary: whose it is, as name.namespace.
            is_open: how it is to be.

        Raises:
            TooManyGates: it cannot be remembered beside all others.
            GatesError: it cannot be stored; it stays as it was.

        """
        key = f"{kind}/{canary}"
        async with self._writing:
            said = {**self._said, key: is_open}
            if not is_open and not self._why_in_doubt:
                # Shut is what a gate is of which nothing is known.
                del said[key]
            if len(said) > MOST_GATES:
                raise TooManyGates(
                    f"{MOST_GATES} gates are remembered, which is the most; shut some of them"
                )
            try:
                await asyncio.to_thread(self._store, said)
            except OSError as error:
                raise GatesError(
                    f"{self._file} cannot be written ({error.strerror}): the gate stays as it was"
                ) from error
            self._said = said

    def _store(self, said: dict[str, bool]) -> None:
        self._set_aside()
        self._file.write(_encoded(said))

    def _set_aside(self) -> None:
        if self._to_set_aside:
            self._file.set_aside()
            self._to_set_aside = False


def _encoded(said: dict[str, bool]) -> bytes:
    return orjson.dumps({"version": 1, "gates": said}, option=orjson.OPT_INDENT_2)


def _decoded(content: bytes | None) -> dict[str, bool]:
    """Return what a file says of gates.

    Raises:
        ValueError, TypeError: it is none that was written here.

    """
    if content is None:
        return {}
    kept = orjson.loads(content)
    if not isinstance(kept, dict) or kept.get("version") != 1 or "gates" not in kept:
        raise ValueError("it is no file of gates of this version")
    said = kept["gates"]
    if not isinstance(said, dict) or len(said) > MOST_GATES:
        raise ValueError("its gates are no object, or too many")
    if not all(isinstance(it, bool) and len(key) <= _LONGEST_KEY for key, it in said.items()):
        raise ValueError("one of its gates is neither open nor shut")
    return said
