"""The page of routes shows what a kind's dialect makes of a team's text."""

import re
from pathlib import Path

import pytest
import yaml

from canary.contract import BESIDE, SPLIT
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.known import DIALECTS
from canary.routes.mark import Mark, TargetSplit
from canary.routes.nginx import Companions
from tests.unit.manifests.installation import ROUTE_RIGHTS

PAGE = (Path(__file__).parents[3] / "docs" / "routers.md").read_text()
AT_20 = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(20))


def shown(kind: str, when: str) -> Json:
    section = PAGE.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    [block] = re.findall(rf"```yaml\n# {re.escape(when)}\n(.*?)```", section, re.DOTALL)
    found: Json = yaml.safe_load(block)
    return {**found, "metadata": {"namespace": "prod", **(found.get("metadata") or {})}}


SECTIONS = [*((it.kind, it.kind) for it in DIALECTS), ("HTTPRoute", "Service as a parent")]


@pytest.mark.parametrize(("kind", "section"), SECTIONS, ids=[section for _, section in SECTIONS])
def test_a_kind_s_text_in_mid_run_is_shown_as_it_is(kind: str, section: str) -> None:
    [it] = [one for one in DIALECTS if one.kind == kind]
    before, during = shown(section, "before"), shown(section, "in mid-run, at 20 %")
    written = it.with_traffic(before, Mark(splits={"web": AT_20}))

    assert written.spec == during["spec"]
    assert it.without_traffic(during, written.mark) == before["spec"]


def test_what_stands_beside_an_ingress_is_shown_as_it_is() -> None:
    before, during = (
        shown("Ingress", "before, and in mid-run too"),
        shown("Ingress", "beside it, at 20 %"),
    )
    made = Companions().companion(before, "web", AT_20, {})
    notes = made["metadata"]["annotations"]

    assert made["spec"] == during["spec"]
    assert made["metadata"]["name"] == during["metadata"]["name"]
    ours = {SPLIT, BESIDE}
    assert {it: notes[it] for it in notes.keys() - ours} == during["metadata"]["annotations"]


def test_every_component_of_rights_is_named() -> None:
    assert all(f"`manifests/route-rights/{it.name}`" in PAGE for it in ROUTE_RIGHTS)
