"""Collects what is wrong in what people wrote, so that they mend it in one go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Problems:
    """Everything wrong that was met: where it stands, what stands there and how to mend it."""

    found: list[str] = field(default_factory=list)

    def read(self, where: str, parse: Callable[[str], T], value: object, default: T) -> T:
        """Parse a value, or note why it cannot be and go on with the default.

        Args:
            where: what the reader looks for: a field, an annotation, a variable, an option.
            parse: reads its text; a ValueError says what is wrong with it and how to mend it.
            value: what stands there, None where nothing does. JSON numbers are read by their text.
            default: what holds where nothing, or nothing that can be read, stands there.

        """
        if value is None:
            return default
        try:
            return parse(str(value))
        except ValueError as error:
            self.found.append(f"{where}: {error}")
            return default

    def check(self) -> None:
        """Say everything at once, if there is anything.

        Raises:
            ValueError: something is wrong; the message has all of it.

        """
        if self.found:
            raise ValueError("; ".join(self.found))
