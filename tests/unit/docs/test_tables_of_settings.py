"""Tables of settings in the documents and the ConfigMap say what the table of the code says."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from analyzer.settings import TABLE as ANALYZER
from canary.spec.settings import TABLE
from canary.spec.sources import Setting
from certs.settings import TABLE as CERTS
from webhook.settings import TABLE as WEBHOOK

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
CONFIGMAP = yaml.safe_load((ROOT / "manifests" / "configmap.yaml").read_text())["data"]
VARIABLES = {setting.variable: setting for setting in (*TABLE, *ANALYZER, *WEBHOOK, *CERTS)}
ANNOTATIONS = {setting.annotation: setting for setting in TABLE if setting.annotation}
TICKED = re.compile(r"`([^`]+)`")
NONE = (None, timedelta(0), ())
"""Values that the documents call "none"."""


def rows(document: Path, heading: str) -> Iterator[list[str]]:
    """Cells of every row of the tables whose first column has this heading."""
    table = rf"^\| {heading} \|.*\n\|[ -|]*\n((?:\|.*\n)+)"
    for found in re.finditer(table, document.read_text(), re.MULTILINE):
        for line in found[1].splitlines():
            yield [cell.strip() for cell in line.strip("|").split("|")]


def named(document: str, heading: str) -> list[list[str]]:
    found = list(rows(ROOT / document, heading))
    assert found, f"{document} has no table of every {heading}"
    return found


def is_default(setting: Setting[object], cell: str) -> bool:
    if cell == "none":
        return setting.default in NONE
    return setting.parse(cell.strip("`")) == setting.default


def test_the_readme_has_every_variable_of_the_table_and_only_those_that_are_read() -> None:
    shown = {TICKED.findall(cells[0])[0] for cells in named("README.md", "variable")}
    of_runs = {setting.variable for setting in TABLE if setting.variable}

    assert of_runs - shown == set()
    assert shown - set(VARIABLES) == set()
    assert shown == set(CONFIGMAP)


def test_the_readme_shows_the_defaults() -> None:
    wrong = [
        cells
        for cells in named("README.md", "variable")
        if not is_default(VARIABLES[TICKED.findall(cells[0])[0]], cells[1])
    ]
    assert wrong == []


@pytest.mark.parametrize("name", CONFIGMAP)
def test_the_configmap_shows_the_defaults(name: str) -> None:
    setting = VARIABLES[name]
    assert setting.parse(CONFIGMAP[name]) == setting.default


def test_the_documents_have_every_annotation_of_a_canary_once_and_no_other() -> None:
    tables = (*named("README.md", "annotation"), *named("docs/evidence.md", "annotation"))
    shown = [TICKED.findall(cells[0])[0] for cells in tables]

    assert sorted(shown) == sorted(ANNOTATIONS)


def test_the_documents_show_the_defaults_of_annotations() -> None:
    wrong = [
        cells
        for cells in named("docs/evidence.md", "annotation")
        if not is_default(ANNOTATIONS[TICKED.findall(cells[0])[0]], cells[2])
    ]
    for name, meaning in named("README.md", "annotation"):
        default = re.search(r"`([^`]+)`(?: \(default\)|$)", meaning)
        if default is None or not is_default(ANNOTATIONS[name.strip("`")], default[1]):
            wrong.append([name, meaning])

    assert wrong == []


def test_the_command_s_page_has_every_option_of_the_table() -> None:
    table = named("docs/kubectl-headgate.md", "option")
    shown = {option for cells in table for option in TICKED.findall(cells[0])}

    assert {setting.option for setting in TABLE if setting.option} - shown == set()
