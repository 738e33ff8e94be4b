"""What is built, in which order, and how far it is said to be."""

import dataclasses
from pathlib import Path

import pytest

from sandbox import builds, versions
from sandbox.builds import Progress
from sandbox.versions import GO_PROGRAMS, GoProgram, Stub


def program(name: str, seconds: int) -> GoProgram:
    return GoProgram(name, f"example.org/{name}", "v1.0.0", (".",), (name,), seconds)


STUB = Stub(
    "example.org/absent", (("go.mod", "module example.org/absent\n"), ("a/a.go", "package a"))
)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "v9"},
        {"ldflags": "-x"},
        {"tags": ("y",)},
        {"replaced": ("example.org/old => example.org/newer v1.0.0",)},
        {"stubs": (STUB,)},
        {"stubs": (dataclasses.replace(STUB, without=("b",)),)},
    ],
)
def test_every_input_of_a_build_changes_its_key(change: dict[str, object]) -> None:
    before = program("a", 10)
    after = dataclasses.replace(before, **change)  # type: ignore[arg-type] # a table of fields
    assert after.key != before.key


def test_keys_name_program_and_version() -> None:
    keys = [p.key for p in GO_PROGRAMS]
    assert len(set(keys)) == len(keys)
    for built in GO_PROGRAMS:
        assert built.key.startswith(f"{built.name}-{built.version}-")


def test_longest_build_starts_first() -> None:
    order = builds.longest_first([program("a", 10), program("b", 30), program("c", 20)])
    assert [p.name for p in order] == ["b", "c", "a"]


def test_remaining_time_fills_two_lanes() -> None:
    todo = [Progress(program("a", 100)), Progress(program("b", 60)), Progress(program("c", 60))]
    assert builds.remaining(todo, now=0.0) == 120.0


def test_remaining_time_counts_down_while_building() -> None:
    todo = [Progress(program("a", 100), started=0.0), Progress(program("b", 60), started=0.0)]
    assert builds.remaining(todo, now=40.0) == 60.0


def test_a_late_build_is_never_said_to_have_a_negative_rest() -> None:
    assert builds.remaining([Progress(program("a", 10), started=0.0)], now=500.0) == 5.0


def test_nothing_remains_when_all_is_built() -> None:
    done = Progress(program("a", 10), started=0.0, seconds=9.0)
    assert builds.remaining([done], now=100.0) == 0.0


def test_progress_line_names_what_runs_and_how_far_it_is() -> None:
    now = [Progress(program("a", 100), 0.0, 90.0), Progress(program("b", 60), started=90.0)]
    line = builds.progress_line(now, now=100.0, elapsed=100.0)
    assert "1/2 built" in line
    assert "b 10 of about 60 s" in line
    assert "about 50 s left" in line


GO_MOD = """\
module example.org/big
go 1.26.0
require (
\tk8s.io/api v0.0.0
\tk8s.io/client-go v0.0.0
)
replace k8s.io/api => ./staging/src/k8s.io/api
replace (
\texample.org/old => example.org/new v1.2.3 // reason
\texample.org/local => ../local
)
"""


def test_what_a_build_has_in_its_own_words_takes_the_place_of_what_its_module_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "go.mod"
    theirs.write_text(GO_MOD)
    monkeypatch.setattr(builds, "module", lambda *_: {"GoMod": str(theirs)})
    built = dataclasses.replace(
        program("a", 1), replaced=("example.org/old => example.org/newer v1.0.0",), stubs=(STUB,)
    )
    replaced = [line for line in builds.go_mod(built).splitlines() if line.startswith("replace")]
    assert replaced == [
        "replace example.org/old => example.org/newer v1.0.0",
        "replace example.org/absent => ./stubs/example.org_absent",
    ]


def test_a_stub_has_what_is_left_of_the_real_module_and_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, work = tmp_path / "real", tmp_path / "work"
    for name in ("go.mod", "kept/a.go", "gone/a.go", "a/a.go"):
        path = real / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"real {name}")
        path.chmod(0o444)
    monkeypatch.setattr(builds, "module", lambda *_: {"Dir": str(real)})
    builds.write_stub(work, dataclasses.replace(STUB, version="v1.0.0", without=("gone",)))
    folder = work / "stubs" / "example.org_absent"
    found = {
        str(it.relative_to(folder)): it.read_text() for it in folder.rglob("*") if it.is_file()
    }
    assert found == {
        "go.mod": "module example.org/absent\n",
        "kept/a.go": "real kept/a.go",
        "a/a.go": "package a",
    }


def test_replacements_into_the_modules_own_tree_are_left_out() -> None:
    assert builds.replacements(GO_MOD) == ["example.org/old => example.org/new v1.2.3"]


def test_staging_modules_are_those_without_a_release_of_their_own() -> None:
    assert builds.staging_modules("require (\n\tk8s.io/api v0.0.0\n\tk8s.io/klog v1.0.0\n)") == [
        "k8s.io/api"
    ]


def test_coredns_main_has_each_plugin_in_both_lists() -> None:
    source = versions.COREDNS_BUILD.main
    for name in ("kubernetes", "cache", "ready", "health"):
        assert f'plugin/{name}"' in source
        assert f'"{name}"' in source.split("Directives")[1]
