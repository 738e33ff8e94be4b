"""A leader that was stopped for longer than its lease undoes nothing of its successor's.

Two real analyzers on the real API server, with the account of the installed one. What the first
writes is kept on its way, it is stopped, and both come back when the second has ended the runs.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import enabled_namespace
from tests.cluster.held_back import HeldBack, access_of, kubeconfig_of
from tests.cluster.kit import Json, Kubectl, canary, phase, route, service, split_of, wait_for, web
from tests.cluster.own_api_server import free_port, running
from tests.sharing import ROOT

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
LEASE = "/leases/headgate-analyzer"
NAMES = ("weight", "status", "release")
"""Targets, by the write of theirs that is kept back."""
REFUSED = {404, 409, 422}
"""What is answered to a write that rests on what is no more."""
QUIET = 6
"""Looks, half a second apart, that see the same: nothing is written any more."""
LOOKS = 25
"""Times that it is looked whether anything was undone, a fifth of a second each."""


@dataclass
class Analyzer:
    """One process."""

    name: str
    process: subprocess.Popen[bytes]
    way: HeldBack
    log: Path

    def says(self, event: str, times: int = 1) -> bool:
        return self.log.read_text().count(f'"{event}"') >= times

    def effects(self, since: int) -> list[str]:
        """Return what it has changed, beside its lease, of the writes since the so many first."""
        return [
            f"{it.method} {it.path}"
            for it in self.way.writes[since:]
            if it.status < 300
            and not it.chosen
            and LEASE not in it.path
            and "/events" not in it.path
        ]


@pytest.fixture
def team(alone: Kubectl) -> Iterator[Kubectl]:
    alone.within("headgate-system")("scale", "deployment/headgate-analyzer", "--replicas=0")
    system = alone.within("headgate-system")
    mine = ("-l", "app.kubernetes.io/component=analyzer")
    wait_for("no installed analyzer", lambda: not system.items("pods", *mine), 60)
    with enabled_namespace(alone, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        yield kubectl


@asynccontextmanager
async def analyzer(
    name: str, kubeconfig: Path, token: str, folder: Path
) -> AsyncIterator[Analyzer]:
    way = HeldBack(*access_of(kubeconfig))
    async with way.listen():
        own = folder / f"{name}.kubeconfig"
        own.write_text(kubeconfig_of(way.port, token))
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(own),
            "POD_NAME": name,
            "HEADGATE_PROBES_PORT": str(free_port()),
            "HEADGATE_MIN_INTERVAL": "1s",
            "HEADGATE_EVIDENCE": "off",
            "HEADGATE_DRAIN": "1s",
        }
        log = folder / f"{name}.log"
        with ExitStack() as stack:
            command = [sys.executable, "-m", "analyzer"]
            process = stack.enter_context(running(log, command, env, ROOT))
            # One that is stopped hears no other signal.
            stack.callback(process.send_signal, signal.SIGCONT)
            yield Analyzer(name, process, way, log)


def objects(namespace: str, name: str) -> list[Json]:
    """Return a target with its route; only the steps of the first one go on by themselves."""
    interval = "8s" if name == "weight" else "60m"
    analysis = canary(namespace, interval=interval, metrics=[], webhooks=[])
    analysis["metadata"]["name"] = analysis["spec"]["targetRef"]["name"] = name
    del analysis["spec"]["service"]
    target = web(GOOD, replicas=1, name=name)
    return [target, service(name), route(f"{name}.{namespace}.example", name), analysis]


def share(kubectl: Kubectl, name: str) -> int:
    return split_of(kubectl.get("httproute", name)).get(f"{name}-canary", 0)


def picture(kubectl: Kubectl) -> dict[str, Any]:
    """Return what a stopped leader could undo."""
    found: dict[str, Any] = {}
    for name in NAMES:
        target, way = kubectl.get("deployment", name), kubectl.get("httproute", name)
        notes = target["metadata"]["annotations"]
        found[name] = {
            "marks": {key: notes[key] for key in notes if key.startswith("headgate.dev/")},
            "template": target["spec"]["template"],
            "paused": target["spec"].get("paused"),
            "route": way["spec"],
            "split": way["metadata"].get("annotations", {}).get("headgate.dev/split"),
            "status": kubectl.get("canary", name)["status"],
            "canary": kubectl.find("deployment", f"{name}-canary") is not None,
        }
    return found


async def at_rest(kubectl: Kubectl) -> dict[str, Any]:
    """Return the picture when it changes no more."""
    before, same = await asyncio.to_thread(picture, kubectl), 0
    for _ in range(60):
        await asyncio.sleep(0.5)
        now = await asyncio.to_thread(picture, kubectl)
        same, before = (same + 1 if now == before else 0), now
        if same == QUIET:
            return before
    raise AssertionError("it never comes to rest")


async def until(what: str, look: Callable[[], object], deadline: float) -> None:
    await asyncio.to_thread(wait_for, what, look, deadline)


def annotate(kubectl: Kubectl, name: str, *commands: str) -> None:
    words = [f"headgate.dev/{command}" for command in commands]
    kubectl("annotate", "deployment", name, "--overwrite", *words)


class Back(StrEnum):
    """When the first comes back, and what it wrote."""

    WRITES_FIRST = "its writes come first, then it wakes, when the runs have ended"
    AWAKE_FIRST = "it wakes first, then its writes come, when the runs have ended"
    AT_THE_HAND_OVER = "both at once, as soon as there is a successor"


@pytest.mark.parametrize(
    "back",
    [
        Back.WRITES_FIRST,
        pytest.param(Back.AWAKE_FIRST, marks=pytest.mark.soak),
        pytest.param(Back.AT_THE_HAND_OVER, marks=pytest.mark.soak),
    ],
    ids=lambda back: back.name,
)
async def test_a_stopped_leader_undoes_nothing(
    team: Kubectl, cluster_kubeconfig: Path, tmp_path: Path, back: Back
) -> None:
    for name in NAMES:
        team.apply(*objects(team.namespace, name))
    for name in NAMES:
        team("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=130)
    system = team.within("headgate-system")
    token = system("create", "token", "headgate-analyzer", "--duration=1h").strip()
    async with AsyncExitStack() as stack:
        start = partial(analyzer, kubeconfig=cluster_kubeconfig, token=token, folder=tmp_path)
        first = await stack.enter_async_context(start("first"))
        await until("a leader", lambda: first.says("leadership_acquired"), 60)
        second = await stack.enter_async_context(start("second"))
        await until("each Canary", lambda: all(phase(team, name) for name in NAMES), 60)

        await keep_writes_back(team, first)
        first.process.send_signal(signal.SIGSTOP)
        for name in NAMES:
            await asyncio.to_thread(annotate, team, name, "abort=now", "promote-")
        await until("a successor", lambda: second.says("leadership_acquired"), 60)
        if back is Back.AT_THE_HAND_OVER:
            await come_back(first, back)
        await until("the end of each run", lambda: all(ended(team, name) for name in NAMES), 90)
        before = await at_rest(team)
        if back is not Back.AT_THE_HAND_OVER:
            await come_back(first, back)
            assert {it.status for name in NAMES if (it := first.way.of(name))} <= REFUSED
        for _ in range(LOOKS):
            assert await asyncio.to_thread(picture, team) == before
            await asyncio.sleep(0.2)
        assert first.process.poll() is None

        second.process.terminate()  # the one that was stopped is as good as any other
        again = partial(first.says, "leadership_acquired", 2)
        await until("the first leads again", again, 40)
        for name in NAMES:
            assert ended(team, name)


async def come_back(first: Analyzer, back: Back) -> None:
    """Let what the first wrote arrive, and wake it; see that it changes nothing else."""
    before = len(first.way.writes)
    if back is Back.WRITES_FIRST:
        first.way.go.set()
        await until("what was on its way", lambda: all(map(first.way.of, NAMES)), 30)
    first.process.send_signal(signal.SIGCONT)
    await until("an end of its lead", lambda: first.says("leadership_lost"), 30)
    first.way.go.set()
    await until("what was on its way", lambda: all(map(first.way.of, NAMES)), 30)
    assert first.effects(before) == []


async def keep_writes_back(team: Kubectl, first: Analyzer) -> None:
    """Let each run come to its write, and keep that one on its way."""

    def writes(path: str, *words: str) -> Callable[[str, str, str], bool]:
        return lambda method, at, body: (
            method != "GET" and at.endswith(path) and all(word in body for word in words)
        )

    way = first.way
    others = [name for name in NAMES if name != "weight"]
    for name in (*others, "weight"):
        await asyncio.to_thread(team, "set", "image", f"deployment/{name}", f"web={BETTER}")
        await until("a split", partial(share, team, name), 90)
    weight = way.choose("weight", writes("/httproutes/weight"))
    await asyncio.wait_for(weight.wait(), 60)
    kept = [
        way.choose("status", writes("/canaries/status/status", "Promoting")),
        way.choose("release", writes("/deployments/release", "headgate.dev/promoting")),
    ]
    for name in others:
        await asyncio.to_thread(annotate, team, name, "promote=now")
    for event in kept:
        await asyncio.wait_for(event.wait(), 8)


def ended(kubectl: Kubectl, name: str) -> bool:
    """Tell whether a run was refused, and nothing of it is left."""
    return (
        phase(kubectl, name) == "Failed"
        and not share(kubectl, name)
        and kubectl.find("deployment", f"{name}-canary") is None
        and json.dumps(kubectl.get("deployment", name)).count("headgate.dev/abort") == 0
    )
