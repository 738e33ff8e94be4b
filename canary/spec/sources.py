"""A setting, and the places that it is read from: environment, annotations and command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from canary.spec.problems import Problems

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T_co]):
    """One thing that people may set, and every place where they may.

    `name` is that of the field that holds it. `parse` reads it from text and raises a ValueError
    that says how to mend it. `help` is one line on what it does. `variable` is its environment
    variable, `annotation` its annotation on a Canary, `option` its option of the command line,
    each "" where it cannot be set there.
    """

    name: str
    parse: Callable[[str], T_co]
    default: T_co
    help: str
    variable: str = ""
    annotation: str = ""
    option: str = ""

    @property
    def key(self) -> str:
        """Its name in a status."""
        first, *rest = self.name.split("_")
        return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, slots=True)
class Source:
    """Texts of one place, by the name that a setting has there.

    Made by `environment`, `annotations`, `command_line` and `record`.
    """

    values: Mapping[str, str]
    problems: Problems
    key: Callable[[Setting[object]], str]
    where: str = ""

    def read(self, setting: Setting[T], present: T) -> T:
        """Return what the place says of a setting, or what holds at present where it says nothing.

        A text that cannot be read is noted in the problems, and what holds at present is returned.

        Args:
            setting: what to look for.
            present: what holds so far.

        """
        key = self.key(setting)
        value = self.values.get(key) if key else None
        return self.problems.read(f"{self.where}{key}", setting.parse, value, present)

    def value(self, setting: Setting[T]) -> T:
        """Return what the place says of a setting, else its default."""
        return self.read(setting, setting.default)


def environment(values: Mapping[str, str], problems: Problems) -> Source:
    """Return the source of a process's variables; an empty one counts as none.

    Args:
        values: texts by variable.
        problems: where mistakes are noted.

    """
    said = {name: value for name, value in values.items() if value}
    return Source(said, problems, lambda setting: setting.variable)


def annotations(values: Mapping[str, str], problems: Problems) -> Source:
    """Return the source of a Canary's annotations.

    Args:
        values: texts by annotation.
        problems: where mistakes are noted.

    """
    return Source(values, problems, lambda setting: setting.annotation, "annotation ")


def command_line(values: Mapping[str, str], problems: Problems) -> Source:
    """Return the source of a command's options.

    Args:
        values: texts by option, of those that were given.
        problems: where mistakes are noted.

    """
    return Source(values, problems, lambda setting: setting.option)


def record(values: Mapping[str, str], problems: Problems) -> Source:
    """Return the source of what a run has remembered in its status.

    Args:
        values: texts by the setting's key.
        problems: where mistakes are noted.

    """
    return Source(values, problems, lambda setting: setting.key)
