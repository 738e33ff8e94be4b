"""What a mutation run draws, sums up and takes for equivalent."""

import pytest

from tests.mutation.figures import AIM, Row, counted, drawn, enough, found_in, package_of, table
from tests.mutation.survivors import NAMED, Change, change_of, reason_of

NAMES = [f"canary.rules.held.x_run__mutmut_{number}" for number in range(50)]


def test_a_draw_is_the_same_for_a_seed_whatever_the_order() -> None:
    once = drawn(NAMES, 10, 1)
    assert once == drawn(reversed(NAMES), 10, 1)
    assert once != drawn(NAMES, 10, 2)
    assert len({*once}) == 10


@pytest.mark.parametrize("sample", [None, 50, 51])
def test_all_are_drawn_where_no_fewer_are_asked_for(sample: int | None) -> None:
    assert drawn(NAMES, sample, 1) == sorted(NAMES)


def test_results_are_read_line_by_line() -> None:
    printed = (
        "    canary.a.b.x_c__mutmut_1: killed\n    canary.a.b.x_c__mutmut_2: no tests\nend: x\n"
    )
    assert found_in(printed) == {
        "canary.a.b.x_c__mutmut_1": "killed",
        "canary.a.b.x_c__mutmut_2": "no tests",
    }


def test_figures_by_package_and_for_all() -> None:
    names = [f"canary.{package}.m.x_f__mutmut_{n}" for package in ("a", "b") for n in range(20)]
    rows = counted(names, survivors=names[:3], equivalent={names[0]}, package=package_of)
    assert rows == [
        Row(package="canary.a", made=20, equivalent=1, survived=2),
        Row(package="canary.b", made=20, equivalent=0, survived=0),
        Row(package="all", made=40, equivalent=1, survived=2),
    ]
    assert not enough(rows), "a package alone has too few"
    assert enough(rows[1:2])
    assert table(rows).splitlines()[1].split() == ["canary.a", "20", "1", "2", "89.5%"]


def test_the_aim_is_met_at_its_bound() -> None:
    assert Row(package="x", made=100, equivalent=0, survived=5).noticed == pytest.approx(AIM)
    assert enough([Row(package="x", made=100, equivalent=0, survived=5)])
    assert not enough([Row(package="x", made=100, equivalent=1, survived=5)])
    assert Row(package="x", made=0, equivalent=0, survived=0).noticed == 1


SHOWN = """# canary.a.x_f__mutmut_1: survived
--- canary/a.py
+++ canary/a.py
@@ -1,3 +1,3 @@
 def f():
-    return 1 + 1
+    return 1 - 1
"""


def test_a_difference_is_read() -> None:
    found = change_of("canary.a.x_f__mutmut_1", SHOWN)
    assert found == Change(where="canary.a.x_f", removed="return 1 + 1", added="return 1 - 1")
    assert reason_of(found) is None


BEGINS = 'and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")'


@pytest.mark.parametrize("default", ["None", '"XXXX"', ""])
def test_what_stands_for_an_absent_field_of_which_the_beginning_counts(default: str) -> None:
    added = BEGINS.replace('""', default)
    why = reason_of(Change(where="canary.x", removed=BEGINS, added=added))
    assert why is not None
    assert why.equivalent


@pytest.mark.parametrize(
    ("removed", "added"),
    [
        (BEGINS, BEGINS.replace("apiVersion", "kind")),
        (BEGINS, BEGINS.replace("and ", "or ").replace('""', "None")),
        (BEGINS, BEGINS.replace('""', "None").replace("startswith", "endswith")),
        ('str(x.get("a", "")) == y', 'str(x.get("a", None)) == y'),
        ('f"{x.get("a", "")}"', 'f"{x.get("a", None)}"'),
    ],
)
def test_nothing_else_of_that_form_is_taken_for_equivalent(removed: str, added: str) -> None:
    assert reason_of(Change(where="canary.x", removed=removed, added=added)) is None


@pytest.mark.parametrize("named", NAMED, ids=lambda it: f"{it.where} {it.added}")
def test_a_named_one_is_that_change_in_that_function_and_no_other(named: object) -> None:
    found = next(it for it in NAMED if it is named)
    line = f"before {found.removed} after"
    change = Change(
        where=found.where, removed=line, added=line.replace(found.removed, found.added, 1)
    )
    assert reason_of(change) == found.reason
    assert reason_of(Change(where="canary.x", removed=change.removed, added=change.added)) is None
    other = Change(where=found.where, removed=line, added=f"{change.added} and more")
    assert reason_of(other) is None
