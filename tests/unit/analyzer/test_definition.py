"""What the analyzer says at its start of the cluster's own definition of a Canary."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from analyzer.__main__ import say_what_the_crd_lacks
from canary.model.values import Json
from canary.objects.crd import MANIFEST, NAME
from runtime.errors import ApiError, Forbidden, NotFound, Unavailable
from runtime.resources import CRDS
from tests.fakes.stored import Stored

OURS: Json = yaml.safe_load((Path(__file__).resolve().parents[3] / MANIFEST).read_text())


async def said(cluster: Stored) -> list[MutableMapping[str, Any]]:
    with capture_logs() as logs:
        await say_what_the_crd_lacks(cluster)
    return logs


async def test_nothing_where_it_is_ours() -> None:
    cluster = Stored()
    cluster.put(CRDS, OURS)
    assert await said(cluster) == []
    assert cluster.calls == ["get"]


async def test_which_file_to_apply_where_it_is_another_one() -> None:
    cluster = Stored()
    another: Json = yaml.safe_load(yaml.safe_dump(OURS))
    del another["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    cluster.put(CRDS, another)
    (log,) = await said(cluster)
    assert (log["log_level"], log["apply"]) == ("error", MANIFEST)
    assert NAME in log["why"]


@pytest.mark.parametrize(
    "error",
    [
        NotFound(404, "NotFound", "no such kind"),
        Forbidden(403, "Forbidden", "no right"),
        Unavailable(0, "Unavailable", "nobody there"),
    ],
)
async def test_what_cannot_be_read_stops_no_start(error: ApiError) -> None:
    class Failing(Stored):
        async def get(self, *_: object) -> Json:
            raise error

    (log,) = await said(Failing())
    assert log["log_level"] == "warning"
