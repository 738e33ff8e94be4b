"""A small file that is written as a whole or not at all, and never thrown away unread."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_ASIDE: Final = ".unreadable"
_MOST_ASIDE: Final = 9
"""Files that are kept aside; the last place of them is used again."""


class StateFile:
    """A file of a folder. All methods wait for the disk.

    Args:
        folder: where it lies; "" keeps nothing.
        name: of the file.
        largest: bytes that are read of it.

    """

    def __init__(self, folder: str, name: str, *, largest: int) -> None:
        self._path = Path(folder, name) if folder else None
        self._largest = largest

    def __str__(self) -> str:
        return str(self._path or "memory")

    def read(self) -> bytes | None:
        """Return what was written last, None where nothing was.

        Raises:
            OSError: it is there, and cannot be read.
            ValueError: it is larger than what is read of one.

        """
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                content = file.read(self._largest + 1)
        except FileNotFoundError:
            return None
        if len(content) > self._largest:
            raise ValueError(f"it is larger than {self._largest} bytes")
        return content

    def write(self, content: bytes) -> None:
        """Replace the file; a death at any moment leaves the old one or the new one.

        Raises:
            OSError: it cannot be written, and the old one is there still.

        """
        if self._path is None:
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        # The new file stands, whatever comes of this; not every file system can do it.
        with suppress(OSError):
            self._settle(self._path.parent)

    def set_aside(self) -> None:
        """Move the file away, so that a person can look at it.

        Raises:
            OSError: it stays where it is.

        """
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.replace(self._free())

    def aside(self) -> list[str]:
        """Return the paths of files that were set aside and are there still."""
        return [str(path) for path in self._places() if path.exists()]

    def _places(self) -> list[Path]:
        if self._path is None:
            return []
        names = (_ASIDE, *(f"{_ASIDE}-{number}" for number in range(2, _MOST_ASIDE + 1)))
        return [self._path.with_name(self._path.name + name) for name in names]

    def _free(self) -> Path:
        places = self._places()
        return next((path for path in places if not path.exists()), places[-1])

    @staticmethod
    def _settle(folder: Path) -> None:
        """Have the name of a new file survive a crash of the node too."""
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
