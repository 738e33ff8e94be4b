"""Change the deciding code in one place at a time, and see whether a unit test fails.

`python -m tests.mutation --sample 500` draws that many of all changes by a seed; without it all
are made, which takes hours. The work is mutmut's, in a copy of the checkout; this program draws,
sums up by package, and holds what survived against the reasons of `tests/mutation/survivors.py`.
It ends with 1 where fewer than 95 of 100 changes that are not equivalent were noticed, or where
one survived without a reason.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.figures import AIM, counted, drawn, enough, found_in, package_of, table
from tests.mutation.survivors import Change, change_of, reason_of

ROOT = Path(__file__).resolve().parents[2]
NOTICED = frozenset({"killed", "timeout"})
"""What mutmut calls a change by which a test failed, or did not end."""
NOT_RUN = frozenset({"not checked", "check was interrupted by user"})


def mutmut(copy: Path, *arguments: str) -> str:
    """Return what a command of mutmut printed, run in the copy."""
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments of this file
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=copy,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout


def copy_of_checkout(copy: Path) -> None:
    """Copy every file that Git knows or would add, as it is now.

    Of an earlier copy the tests go first: one that was deleted would run on there.
    """
    for tests in (copy / "tests", copy / "mutants" / "tests"):
        shutil.rmtree(tests, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607 - the git of this person
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    )
    for name in listed.stdout.splitlines():
        source, to = ROOT / name, copy / name
        # What is the same keeps its time, by which mutmut knows what it has done already.
        if source.is_file() and not (to.is_file() and to.read_bytes() == source.read_bytes()):
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(source.read_bytes())


def made_in(copy: Path) -> dict[str, str]:
    """Return each change by its name, with what came of it."""
    return found_in(mutmut(copy, "results", "--all", "1"))


def report(copy: Path, names: list[str], found: dict[str, str]) -> int:
    """Print the table, then what survived; return the exit code."""
    survivors = [name for name in names if found[name] not in NOTICED]
    changes = {name: change_of(name, mutmut(copy, "show", name)) for name in survivors}
    reasons = {name: reason_of(change) for name, change in changes.items()}
    equivalent = {name for name, why in reasons.items() if why is not None and why.equivalent}
    rows = counted(names, survivors, equivalent, package_of)
    sys.stdout.write(table(rows))
    for name, why in reasons.items():
        sys.stdout.write(_told(changes[name], "NO REASON" if why is None else why.text))
    return 0 if enough(rows) and None not in reasons.values() else 1


def _told(change: Change, why: str) -> str:
    return f"\n{change.where}: {why}\n  - {change.removed}\n  + {change.added}\n"


def options() -> argparse.Namespace:
    """Return what is asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=None, help="so many changes; else all")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--only", default="", help="changes whose name begins so: canary.rules")
    parser.add_argument("--folder", type=Path, help="of the copy, to go on there later; else none")
    parser.add_argument("--workers", type=int, default=2, help="changes that are tried at once")
    return parser.parse_args()


def run(copy: Path, asked: argparse.Namespace) -> int:
    """Draw, make the changes, report; return the exit code."""
    workers = ("--max-children", str(asked.workers))
    copy_of_checkout(copy)
    # A pattern that fits nothing makes the changes and finds which test reaches what.
    said = mutmut(copy, "run", *workers, "nothing.at.all")
    names = drawn(
        (name for name in made_in(copy) if name.startswith(asked.only)), asked.sample, asked.seed
    )
    if names:
        said = mutmut(copy, "run", *workers, *names)
    found = made_in(copy)
    if not names or any(found[name] in NOT_RUN for name in names):
        sys.stdout.write(f"{said[-4000:]}\nnot all was tried, or nothing has this name\n")
        return 1
    sys.stdout.write(f"aim: {AIM:.0%} of the changes that are not equivalent\n")
    return report(copy, names, found)


def main() -> int:
    """Run in the folder that is named, or in one that goes afterwards."""
    asked = options()
    if asked.folder is not None:
        return run(asked.folder, asked)
    with tempfile.TemporaryDirectory(prefix="headgate-mutation-") as folder:
        return run(Path(folder), asked)


if __name__ == "__main__":
    sys.exit(main())
