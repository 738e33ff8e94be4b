"""Values as JSON for programs: a dataclass is an object, its fields in camelCase."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any


def to_json(value: Any) -> Any:
    """Return a value as JSON has it.

    JSON has no infinity, which becomes null. Times are written in UTC, as Kubernetes does.

    Args:
        value: of dataclasses, mappings, sequences, enums, times and plain values.

    """
    if dataclasses.is_dataclass(value):
        return {
            _camel(field.name): to_json(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): to_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
