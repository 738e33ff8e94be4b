"""The analyzer's own caller of hooks, at gates of a load tester."""

import os
from pathlib import Path

import pytest

from analyzer.addresses import EVERYWHERE
from analyzer.hooks.http import HttpHookCaller
from canary.model.strategy import Hook, HookType
from canary.model.world import HookResult
from loadtester.settings import Settings
from tests.adapters.loadtester.load_tester_kit import LoadTester, load_tester

PAYLOAD = {"name": "web", "namespace": "prod", "phase": "Waiting", "checksum": "abc"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(namespace="prod", path=os.defpath, state=str(tmp_path))


async def asked(tester: LoadTester, path: str, kind: HookType) -> HookResult:
    hook = Hook(name="gate", type=kind, url=tester.url + path)
    return await HttpHookCaller(EVERYWHERE, first_delay=0.0).call(hook, PAYLOAD)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("gate", HookType.CONFIRM_ROLLOUT),
        ("gate", HookType.CONFIRM_PROMOTION),
        ("rollback", HookType.ROLLBACK),
    ],
)
async def test_a_run_hears_how_its_gate_is(settings: Settings, path: str, kind: HookType) -> None:
    async with load_tester(settings) as tester:
        shut = await asked(tester, f"{path}/check", kind)
        await tester.gate(f"{path}/open")
        opened = await asked(tester, f"{path}/check", kind)

    assert (shut.ok, shut.faulty) == (False, False)
    assert f"answered 403: Forbidden: web.prod has its {path} shut" in shut.message
    assert opened.ok


async def test_a_run_hears_that_nobody_knows_how_its_gate_is(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "gates.json").write_bytes(b"{")
    async with load_tester(settings) as tester:
        result = await asked(tester, "rollback/check", HookType.ROLLBACK)

    assert (result.ok, result.faulty) == (False, True)
    assert "answered 503: nobody knows whether web.prod has its rollback open: " in result.message
    assert "gates.json could not be read" in result.message
