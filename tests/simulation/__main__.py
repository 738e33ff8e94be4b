"""Print the tables: `python -m tests.simulation`. Fails where a bound is broken.

All of it takes long. With `--keep build/simulation` each row's result is kept there as it comes, so
that what is broken off goes on where it was, and what a change does not touch is not run again.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.machine import commit
from tests.simulation.kept import Finished, Kept
from tests.simulation.rows import rows

LONG = 10_000
SHORT = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row by its place, its number of runs, and what was kept of it."""

    at: int
    runs: int
    before: Finished | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is printed of a row. `note` is where its result is from, or why it is not kept."""

    at: int
    finished: Finished
    note: str


def run_one(kept: Kept | None, job: Job) -> Line:
    """Run a row, and keep its result at once."""
    row = rows()[job.at]
    if job.before is not None:
        return Line(at=job.at, finished=job.before, note=f"kept from {job.before.commit}")
    began = time.process_time()
    result = row.run(job.runs)
    finished = Finished(result=result, seconds=time.process_time() - began, commit="")
    lost = kept and row.lasting and not kept.keep(row, job.runs, result, finished.seconds)
    return Line(at=job.at, finished=finished, note="not kept: sources have changed" if lost else "")


def jobs(options: argparse.Namespace, kept: Kept | None) -> Iterator[Job]:
    """Choose the rows, and find what was kept of them."""
    for at, row in enumerate(rows()):
        if options.only not in f"{row.table}: {row.name}" or (options.quick and not row.quick):
            continue
        runs = row.runs(options.runs or (SHORT if options.quick else LONG))
        yield Job(at=at, runs=runs, before=kept.found(row, runs) if kept else None)


def show(lines: Iterator[Line]) -> list[Line]:
    """Print each row as it comes; return them all."""
    all_rows = rows()
    table, shown = "", []
    for line in lines:
        row, result = all_rows[line.at], line.finished.result
        if row.table != table:
            table = row.table
            sys.stdout.write(f"\n{table}\n{'-' * len(table)}\n")
        mark = "ok    " if result.ok else "BROKEN"
        text = f"{mark} {row.name:<46} {result.text:<58} {row.aim:<34}"
        sys.stdout.write(f"{text} {line.finished.seconds:6.0f} s {line.note}".rstrip() + "\n")
        sys.stdout.flush()
        shown.append(line)
    return shown


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    top = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    top.add_argument("--runs", type=int, default=None, help=f"per row; {LONG}, or {SHORT} if quick")
    top.add_argument("--quick", action="store_true", help="one row of every kind")
    top.add_argument("--only", default="", help="rows whose table or name holds this text")
    top.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    top.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="of results, to go on there later; else none"
    )
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run and print; 1 where a bound is broken."""
    options = parser().parse_args(words)
    kept = Kept(options.keep, rows(), commit()) if options.keep else None
    asked = list(jobs(options, kept))
    with multiprocessing.Pool(options.workers) as pool:
        lines = show(pool.imap(partial(run_one, kept), asked))
    broken = sum(not line.finished.result.ok for line in lines)
    before = sum(job.before is not None for job in asked)
    seconds = sum(line.finished.seconds for line in lines)
    sys.stdout.write(f"\n{len(lines)} rows, {broken} broken")
    sys.stdout.write(f", {before} kept from before" if kept else "")
    sys.stdout.write(f"; {seconds:.0f} s of processor time in all\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
