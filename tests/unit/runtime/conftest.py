"""Fixtures of the tests of `runtime`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.runtime.scripted_api import ScriptedApi


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi().serve(tmp_path) as api:
        yield api
