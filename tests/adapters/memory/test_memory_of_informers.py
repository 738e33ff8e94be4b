"""What Deployments cost the analyzer: each figure is that of a process that follows a server."""

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.memory.api_of_many import Api, deployment
from tests.adapters.memory.attacked import LIMIT, MIB, attack
from tests.fakes import objects

MANY = 10_000
FAT = 30


async def test_ten_thousand_deployments_without_the_label_cost_ten_mebibytes(
    tmp_path: Path,
) -> None:
    api = Api(partial(deployment, namespace="others"), MANY)
    async with api.serve(tmp_path) as kubeconfig:
        took = await attack("informers", kubeconfig, "0")
    assert took.known == MANY
    assert took.after - took.before < 10 * MIB
    assert took.peak < LIMIT


async def test_ten_thousand_idle_targets_cost_two_kilobytes_each(tmp_path: Path) -> None:
    api = Api(partial(deployment, namespace="ours"), MANY, "ours")
    async with api.serve(tmp_path) as kubeconfig:
        took = await attack("informers", kubeconfig, "0")
    assert took.known == MANY
    assert took.after - took.before < 20 * MIB
    assert took.peak < LIMIT


def fat(number: int, *, env: list[dict[str, str]], note: str = "", labels: int = 0) -> bytes:
    obj = objects.deployment(name=f"target-{number:05}")
    obj["metadata"] |= {
        "namespace": "ours",
        "resourceVersion": str(1000 + number),
        "annotations": {"headgate.dev/note": note},
        "labels": {f"label-{one}": "" for one in range(labels)},
    }
    obj["spec"]["template"]["spec"]["containers"][0]["env"] = env
    return json.dumps(obj).encode()


def noise(size: int) -> str:
    return random.Random(1).randbytes(size // 2).hex()  # noqa: S311 - no secret


FORMS: dict[str, dict[str, Any]] = {
    "noise": {"env": [], "note": noise(1_500_000)},
    "many values": {"env": [{"name": "a"}] * 300_000},
    "many labels": {"env": [], "labels": 100_000},
    "escapes": {"env": [{"name": "a", "value": "<" * 200_000}]},
}


@pytest.mark.parametrize("form", FORMS)
async def test_fat_deployments_stay_below_the_limit_of_the_pod(form: str, tmp_path: Path) -> None:
    body = fat(0, **FORMS[form])
    # Strings of JSON may have each character as six.
    body = body.replace(b"<", b"\\u003c")

    def make(number: int) -> bytes:
        return body.replace(b"target-00000", f"target-{number:05}".encode())

    api = Api(make, FAT, "ours")
    api.events = [
        b'{"type":"MODIFIED","object":' + make(number).replace(b'"1000"', b'"2000"') + b"}"
        for number in range(4)
    ]
    async with api.serve(tmp_path) as kubeconfig:
        took = await attack("informers", kubeconfig, "1")
    assert took.known == FAT
    assert took.peak < LIMIT
