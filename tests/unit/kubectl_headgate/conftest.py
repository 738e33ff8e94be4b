"""Fixtures of the tests of the command."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubectl_headgate.__main__ import start
from tests.unit.kubectl_headgate.past import CANARIES, NOW, SETTINGS, Objects, Past, listed


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Objects]:
    settings = {"data": {"HEADGATE_EVIDENCE_ALPHA": "2"}}
    api = Objects(objects={CANARIES: listed(), SETTINGS: settings})
    async with api.serve(tmp_path):
        yield api


@pytest.fixture
async def past() -> AsyncIterator[tuple[Past, str]]:
    past = Past()
    async with past.serve() as address:
        yield past, address


@pytest.fixture
def command(api: Objects, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command as a person runs it, with the cluster already chosen."""

    async def run(*arguments: str) -> Ended:
        where = ["-n", "prod", "--kubeconfig", str(api.kubeconfig("t0"))]
        code = await asyncio.to_thread(start, [*arguments, *where], NOW)
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return run
