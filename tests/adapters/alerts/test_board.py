"""Grafana's board asks for what the processes really export, by labels that they really have."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from analyzer.__main__ import build, elector_of
from analyzer.addresses import Guard
from analyzer.loop import exported
from analyzer.settings import Settings
from canary.model.values import Json
from runtime.kube import Cluster
from tests.adapters.alerts.test_alert_rules import KUBECONFIG, webhook_metrics
from tests.unit.analyzer.loop.test_exported import ERRORS, canary, world
from webhook.server import Metrics as WebhookMetrics

FOLDER = Path(__file__).parents[3] / "manifests" / "grafana"
BOARD: Json = json.loads((FOLDER / "board.json").read_text())
PANELS: list[Json] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    (panel["title"], target["expr"], target["legendFormat"])
    for panel in PANELS
    for target in panel["targets"]
]
BUILT_IN = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": ".*", "$target": ".*"}


def rendered(expr: str) -> str:
    for name, value in BUILT_IN.items():
        expr = expr.replace(name, value)
    return expr


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Every selector of an expression."""
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql.Call():
            for one in node.args:
                yield from selectors(one)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from selectors(node.expr)
        case _:
            pass


def labels_in(page: str) -> dict[str, set[str]]:
    """Each series' name, with the labels that it has."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def declared(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Each series that has labels and no value yet, as the process has registered it."""
    found: dict[str, set[str]] = {}
    for name, collector in registry._names_to_collectors.items():  # noqa: SLF001 - no other way
        labels = getattr(collector, "_labelnames", None)
        if labels:
            found[name] = {*labels, "le"} if name.endswith("_bucket") else set(labels)
    return found


@pytest.fixture
async def exported_labels(tmp_path: Path) -> Mapping[str, set[str]]:
    """What analyzer and webhook export, the runs of one target among it."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    analyzer, webhook = CollectorRegistry(), CollectorRegistry()
    WebhookMetrics.create(webhook)
    settings = Settings()
    async with (
        Cluster.connect(tmp_path / "kubeconfig") as cluster,
        build(settings, cluster, analyzer, Guard()) as parts,
    ):
        elector = elector_of(settings, cluster, analyzer)
        exported.register(parts[0], analyzer, lambda: elector.is_leader)
        page = generate_latest(analyzer).decode()
    runs = await world(canary("Progressing", checks=[ERRORS], evidence={"verdict": "Undecided"}))
    await runs.has(
        canary("Failed", checks=[ERRORS], evidence={"verdict": "Refuse"}, reason="Refused")
    )
    found = labels_in(page + runs.page + await webhook_metrics(tmp_path))
    for registry in (analyzer, webhook):
        found |= declared(registry)
    return found


async def test_each_panel_asks_for_series_and_labels_that_are_there(
    exported_labels: Mapping[str, set[str]],
) -> None:
    assert missing(exported_labels, QUERIES) == []


def missing(
    known: Mapping[str, set[str]], queries: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    """Name what the queries ask for and nobody exports, each with its panel."""
    wrong = []
    for title, expr, legend in queries:
        tree = promql.parse(rendered(expr))
        by = set(re.findall(r"\bby \(([^)]*)\)", expr))
        shown = set(re.findall(r"{{(\w+)}}", legend))
        grouped = {one.strip() for group in by for one in group.split(",")}
        for selector in selectors(tree):
            name = str(selector.name)
            asked = {one.name for one in selector.matchers.matchers} | grouped | shown
            if name not in known:
                wrong.append((title, name))
            else:
                wrong += [(title, f"{name}.{label}") for label in asked - known[name]]
    return wrong


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("sum(headgate_nothing)", "headgate_nothing"),
        ('up{pod="x"}', "up.pod"),
        ("sum by (pod) (rate(up[5m])) / 2", "up.pod"),
    ],
)
def test_what_nobody_exports_is_noticed(query: str, wrong: str) -> None:
    assert missing({"up": {"job"}}, [("panel", query, "{{job}}")]) == [("panel", wrong)]


def test_the_board_shows_runs_evidence_and_the_processes() -> None:
    asked = " ".join(expr for _, expr, _ in QUERIES)

    for wanted in ("status", "weight", "verdicts", "metric_analysis", "metric_bound", "evidence"):
        assert f"canary_{wanted}" in asked
    for wanted in ("leader", "reconciles", "watch_silence", "webhook_reviews"):
        assert f"headgate_{wanted}" in asked or f"headgate_analyzer_{wanted}" in asked


def test_panels_have_a_place_and_a_number_of_their_own() -> None:
    every = BOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [
        (x, y)
        for panel in every
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


def test_the_component_brings_the_board() -> None:
    component = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    (generated,) = component["configMapGenerator"]

    assert component["kind"] == "Component"
    assert [name.partition("=")[2] for name in generated["files"]] == ["board.json"]
    assert generated["options"]["labels"]["grafana_dashboard"] == "1"
