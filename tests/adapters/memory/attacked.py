"""Runs an attack on the analyzer's own code in a process of its own, and says what it took."""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Final

MIB: Final = 1024
"""In KiB, as the figures are."""
LIMIT: Final = 256 * MIB
"""Of the analyzer's pod: `manifests/deployments/analyzer.yaml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What an attack took, in KiB: resident before and after it, and the most that ever was."""

    before: int
    after: int
    peak: int
    known: int = 0
    said: list[str] = field(default_factory=list)


async def attack(*arguments: str, seconds: float = 120.0) -> Took:
    """Run an attack of `child.py`.

    Args:
        arguments: its name and arguments.
        seconds: that it may take.

    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.adapters.memory.child",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found: dict[str, Any] = json.loads(out)
    return Took(**found)
