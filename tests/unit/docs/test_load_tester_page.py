"""What the load tester's page says has a test that is there, and its settings are the code's."""

import re
from pathlib import Path

from loadtester.settings import TABLE
from tests.unit.docs.test_tables_of_settings import TICKED, is_default, rows

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "load-tester.md"
NAMED = re.compile(r"`(test_\w+)`")
SETTINGS = {setting.variable: setting for setting in TABLE}


def test_every_test_that_is_named_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(NAMED.findall(PAGE.read_text()))

    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_it_has_every_setting_with_its_default() -> None:
    table = list(rows(PAGE, "setting of the load tester"))
    shown = {TICKED.findall(name)[0]: default for name, default, _ in table}

    assert set(shown) == {it for it in SETTINGS if it.startswith("HEADGATE_LOADTESTER_")}
    wrong = [
        name
        for name, default in shown.items()
        if not is_default(SETTINGS[name], "" if default == "empty" else default)
    ]
    assert wrong == []
