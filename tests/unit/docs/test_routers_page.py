"""The page of routes shows what a kind's dialect makes of a team's text."""

import re
from pathlib import Path

import pytest
import yaml

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.known import DIALECTS
from canary.routes.mark import Mark, TargetSplit
from tests.unit.manifests.installation import ROUTE_RIGHTS

PAGE = (Path(__file__).parents[3] / "docs" / "routers.md").read_text()
AT_20 = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(20))


def shown(kind: str, when: str) -> Json:
    section = PAGE.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    [block] = re.findall(rf"```yaml\n# {when}\n(.*?)```", section, re.DOTALL)
    found: Json = {"metadata": {"namespace": "prod"}, **yaml.safe_load(block)}
    return found


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda it: it.kind)
def test_a_kind_s_text_in_mid_run_is_shown_as_it_is(dialect: object) -> None:
    [it] = [one for one in DIALECTS if one is dialect]
    before, during = shown(it.kind, "before"), shown(it.kind, "in mid-run, at 20 %")
    written = it.with_traffic(before, Mark(splits={"web": AT_20}))

    assert written.spec == during["spec"]
    assert it.without_traffic(during, written.mark) == before["spec"]


def test_every_component_of_rights_is_named() -> None:
    assert all(f"`manifests/route-rights/{it.name}`" in PAGE for it in ROUTE_RIGHTS)
