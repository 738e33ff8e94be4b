"""What Deployments cost the analyzer: each figure is that of a process that follows a server."""

from functools import partial
from pathlib import Path

from tests.adapters.memory.api_of_many import Api, deployment
from tests.adapters.memory.attacked import LIMIT, MIB, attack

MANY = 10_000


async def test_ten_thousand_deployments_without_the_label_cost_ten_mebibytes(
    tmp_path: Path,
) -> None:
    api = Api(partial(deployment, namespace="others"), MANY)
    async with api.serve(tmp_path) as kubeconfig:
        took = await attack("informers", kubeconfig, "0")
    assert took.known == MANY
    assert took.after - took.before < 10 * MIB
    assert took.peak < LIMIT


async def test_ten_thousand_idle_targets_fit(tmp_path: Path) -> None:
    api = Api(partial(deployment, namespace="ours"), MANY, "ours")
    async with api.serve(tmp_path) as kubeconfig:
        took = await attack("informers", kubeconfig, "0")
    assert took.known == MANY
    assert took.after - took.before < 40 * MIB
    assert took.peak < LIMIT
