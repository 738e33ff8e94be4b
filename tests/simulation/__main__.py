"""Print the tables: `python -m tests.simulation`. Fails where a bound is broken."""

import argparse
import multiprocessing
import sys
import time

from tests.simulation.row import Result
from tests.simulation.rows import rows

LONG = 10_000
SHORT = 250


def run_one(job: tuple[int, int]) -> tuple[int, Result, float]:
    at, runs = job
    row = rows()[at]
    began = time.monotonic()
    result = row.run(max(20, runs // row.cost))
    return at, result, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=None, help=f"per row; {LONG}, or {SHORT} if quick"
    )
    parser.add_argument("--quick", action="store_true", help="one row of every kind")
    parser.add_argument("--only", default="", help="rows whose table or name holds this text")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    all_rows = rows()
    jobs = [
        (at, options.runs or (SHORT if options.quick else LONG))
        for at, row in enumerate(all_rows)
        if options.only in f"{row.table}: {row.name}" and (row.quick or not options.quick)
    ]
    table, broken = "", 0
    with multiprocessing.Pool(options.workers) as pool:
        for at, result, seconds in pool.imap(run_one, jobs):
            row = all_rows[at]
            if row.table != table:
                table = row.table
                sys.stdout.write(f"\n{table}\n{'-' * len(table)}\n")
            mark = "ok    " if result.ok else "BROKEN"
            sys.stdout.write(
                f"{mark} {row.name:<46} {result.text:<58} {row.aim:<34} {seconds:6.0f} s\n"
            )
            sys.stdout.flush()
            broken += not result.ok
    sys.stdout.write(f"\n{len(jobs)} rows, {broken} broken\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
