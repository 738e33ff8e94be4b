"""Objects as text, kept beside the tests; see `tests/kept.py`."""

import json
from pathlib import Path
from typing import Any

from tests.kept import is_as_kept, shown

FOLDER = Path(__file__).parent / "in_full"


def kept(name: str, **parts: Any) -> None:
    """Hold what came out against what is kept of it, part by part."""
    lines = []
    for title, part in parts.items():
        lines.append(f"* {title.replace('_', ' ')}")
        if isinstance(part, dict | list):
            lines.append(json.dumps(part, indent=1, sort_keys=True, ensure_ascii=False))
        else:
            lines.append(shown(part))
    is_as_kept(FOLDER / f"{name}.txt", "\n".join(lines) + "\n")
