"""A result is taken from before only where everything that it rests on is as it was."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from canary.evidence.policy import Policy
from tests.simulation import count_rows, limitless_rows, moment_rows, scalar_rows, scrape_rows
from tests.simulation.kept import Kept, told
from tests.simulation.row import Result, Row
from tests.simulation.rows import rows
from tests.simulation.sources import ROOT, sources_of
from tests.simulation.traffic import clustered

MODULES = (count_rows, scrape_rows, moment_rows, scalar_rows, limitless_rows)
OURS = ("analyzer", "canary", "runtime", "tests")
LOADED = """
import sys, {0}
for name, module in sys.modules.items():
    if name.partition(".")[0] in {1} and getattr(module, "__file__", None):
        print(name)
"""
RESULT = Result(text="0 of 20: 0.00%", ok=True)


def _row(name: str = "healthy, independent") -> Row:
    return next(row for row in rows() if row.name == name)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a copy of what all rows rest on."""
    root = tmp_path / "checkout"
    for name in {one for module in MODULES for one in sources_of(module.__name__).files}:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    return root


def _kept(checkout: Path, *more: Row) -> Kept:
    return Kept(checkout.parent / "kept", [*rows(), *more], "abc1234", checkout)


def test_a_result_is_found_as_it_was_kept_and_so_is_a_broken_bound(checkout: Path) -> None:
    broken, slow = Result(text="3 of 80: 3.75%", ok=False), _row("healthy, heavy tails")
    kept = _kept(checkout)
    assert kept.found(_row(), 20) is None
    assert kept.keep(_row(), 20, RESULT, 1.5)
    assert kept.keep(slow, 20, broken, 2.5)
    again = _kept(checkout)
    first, second = again.found(_row(), 20), again.found(slow, 20)
    assert first
    assert second
    assert (first.result, first.seconds, first.commit) == (RESULT, 1.5, "abc1234")
    assert second.result == broken


@pytest.mark.parametrize(
    "source",
    [
        "canary/evidence/scalar.py",
        "canary/evidence/__init__.py",
        "tests/simulation/scalars.py",
        "tests/simulation/scalar_rows.py",
        "tests/simulation/outcomes.py",
    ],
)
def test_a_change_of_a_source_has_its_rows_run_anew(checkout: Path, source: str) -> None:
    assert _kept(checkout).keep(_row(), 20, RESULT, 1.0)
    whole = (checkout / source).read_text()
    (checkout / source).write_text(whole + "# changed\n")
    assert _kept(checkout).found(_row(), 20) is None
    (checkout / source).write_text(whole)
    assert _kept(checkout).found(_row(), 20)


def test_a_change_of_what_others_rest_on_leaves_a_result(checkout: Path) -> None:
    limitless, latency = _row("x 2.5, 50 rps"), checkout / "canary" / "evidence" / "latency.py"
    for row in (_row(), limitless):
        assert _kept(checkout).keep(row, 20, RESULT, 1.0)
    latency.write_text(latency.read_text() + "# changed\n")
    assert _kept(checkout).found(_row(), 20)
    assert _kept(checkout).found(limitless, 20) is None


def test_a_module_that_is_imported_from_now_on_counts(checkout: Path) -> None:
    scalars, new = (checkout / "tests" / "simulation" / name for name in ("scalars.py", "new.py"))
    scalars.write_text(scalars.read_text().replace("import math", "import math\nimport tests.x"))
    (checkout / "tests" / "x.py").write_text("from tests.simulation import new\n")
    new.write_text("A = 1\n")
    assert _kept(checkout).keep(_row(), 20, RESULT, 1.0)
    new.write_text("A = 2\n")
    assert _kept(checkout).found(_row(), 20) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, name="another"),
        lambda row: replace(row, table="another"),
        lambda row: replace(row, aim="another"),
        lambda row: replace(row, run=partial(row.run.func, row.run.args[0], Policy(alpha=0.02))),
        lambda row: replace(row, run=partial(scalar_rows._run_shift, *row.run.args)),  # noqa: SLF001
    ],
)
def test_another_row_or_parameter_is_another_result(
    checkout: Path, change: Callable[[Row], Row]
) -> None:
    kept, other = _kept(checkout), change(_row())
    assert kept.keep(_row(), 20, RESULT, 1.0)
    assert kept.found(other, 20) is None
    assert kept.found(_row(), 21) is None, "another number of runs"


def test_what_is_no_whole_result_of_this_row_is_run(checkout: Path) -> None:
    kept, other = _kept(checkout), _row("healthy, heavy tails")
    assert kept.keep(other, 20, RESULT, 1.0)
    strange = next((checkout.parent / "kept").iterdir()).read_text()
    assert kept.keep(_row(), 20, RESULT, 1.0)
    for path in (checkout.parent / "kept").iterdir():
        whole = path.read_text()
        for text in ("", whole[:40], "[]", '{"key": 1}') + (strange,) * (whole != strange):
            path.write_text(text)
            found = [row for row in (other, _row()) if kept.found(row, 20)]
            assert len(found) == 1, text
        path.write_text(whole)


def test_sources_that_changed_while_a_row_ran_are_not_those_that_ran(checkout: Path) -> None:
    kept, source = _kept(checkout), checkout / "canary" / "evidence" / "judge.py"
    source.write_text(source.read_text() + "# changed\n")
    assert not kept.keep(_row(), 20, RESULT, 1.0)
    assert kept.found(_row(), 20) is None
    assert _kept(checkout).found(_row(), 20) is None


def test_what_measures_the_machine_is_measured_again(checkout: Path) -> None:
    machine = [row for row in rows() if not row.lasting]
    assert {row.table for row in machine} == {"cost of one update"}
    kept = _kept(checkout)
    assert not kept.keep(machine[0], 20, RESULT, 1.0)
    assert kept.found(machine[0], 20) is None


@pytest.mark.parametrize("module", [module.__name__ for module in MODULES])
def test_what_an_interpreter_loads_of_ours_is_among_the_sources(module: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", LOADED.format(module, OURS)],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    )
    sources = sources_of(module)
    known = {name.removesuffix(".py").removesuffix("/__init__") for name in sources.files}
    loaded = {name.replace(".", "/") for name in done.stdout.split()}
    assert loaded <= known
    assert {"canary/evidence/judge", "tests/simulation/row"} <= loaded
    assert {"python", "numpy"} <= set(sources.others)


def test_each_row_that_lasts_is_told_from_all_others() -> None:
    lasting = [row for row in rows() if row.lasting]
    assert len({(row.table, row.name, told(row.run)) for row in lasting}) == len(lasting)
    assert "0x" not in "".join(told(row.run) for row in lasting), "an address is another each time"
    assert told(clustered(5)) != told(clustered(20))
    with pytest.raises(TypeError, match="cannot be told"):
        told(object())


@pytest.mark.timeout(120)
def test_a_simulation_goes_on_where_it_was(tmp_path: Path) -> None:
    first = _simulated(tmp_path, "x 1.5, heavy tails")
    assert "1 rows, 0 broken, 0 kept from before" in first
    both = _simulated(tmp_path, "x 1.5, ")
    assert "4 rows, 0 broken, 1 kept from before" in both
    line = next(line for line in first.splitlines() if "heavy tails" in line)
    assert f"{line} kept from " in both
    assert "4 rows, 0 broken, 4 kept from before" in _simulated(tmp_path, "x 1.5, ")


def _simulated(folder: Path, only: str) -> str:
    options = ("--only", only, "--runs", "400", "--workers", "1", "--keep", str(folder))
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    ).stdout
