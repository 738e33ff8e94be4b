"""`make bench-scale`: many releases at once and many targets, on a control plane of its own."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench import machine
from tests.bench.figures import Section, table
from tests.bench.scale import admission, cluster, idle, report, runs
from tests.bench.scale.teams import Plan

PARTS = ("idle", "runs", "metrics", "namespaces", "at-once", "admission")
IDLE = (0, 1_000, 10_000)
RUNS = (10, 100, 300, 1_000)
METRICS = (1, 2, 6)
PER_NAMESPACE = 10


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    top = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    top.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="all unless named")
    top.add_argument("--runs", nargs="+", type=int, default=RUNS, help="releases at once")
    top.add_argument("--idle", nargs="+", type=int, default=IDLE, help="targets that rest")
    top.add_argument("--steady", type=float, default=60.0, help="seconds over which runs are seen")
    top.add_argument("--rate", type=float, default=admission.RATE, help="writes per second")
    top.add_argument("--seconds", type=float, default=admission.SECONDS, help="of these writes")
    top.add_argument("--profile", type=Path, help="leave cProfile's figures of each row there")
    return top


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 0 whatever the figures are, 1 if there is nothing to measure with."""
    options = parser().parse_args(words)
    # Whoever ends this ends what it has started: every part is left by its context.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster.ready()
    except cluster.MissingError as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    say("\n".join([*machine.describe(), *cluster.versions()]))
    for part in options.parts:
        started = time.monotonic()
        sys.stderr.write(f"measuring: {part} ...\n")
        _PARTS[part](options)
        sys.stderr.write(f"measured {part} in {time.monotonic() - started:.0f} s\n")
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="headgate-scale-") as name:
        yield Path(name)


def _idle(options: argparse.Namespace) -> None:
    rows = []
    for enabled in (True, False):
        for count in sorted(options.idle):
            if count == 0 and not enabled:
                continue
            with _folder() as folder:
                rows.append(asyncio.run(idle.measure(folder, count, enabled=enabled)))
                say(report.of_idle(rows[-1]))
    say("\n".join(report.idle_slopes(rows)))


def _rows(options: argparse.Namespace, plans: Sequence[Plan]) -> list[runs.Row]:
    rows = []
    for plan in plans:
        with _folder() as folder:
            profile = _profile(options, plan)
            measured = runs.measure(folder, plan, steady=options.steady, profile=profile)
            rows.append(asyncio.run(measured))
            say("\n".join(report.described(rows[-1])))
    return rows


def _profile(options: argparse.Namespace, plan: Plan) -> Path | None:
    if options.profile is None:
        return None
    options.profile.mkdir(parents=True, exist_ok=True)
    return Path(options.profile, f"{plan.targets}-{plan.namespaces}-{plan.metrics}.prof").resolve()


def _runs(options: argparse.Namespace) -> None:
    plans = [Plan(targets=it, namespaces=max(1, it // PER_NAMESPACE)) for it in options.runs]
    rows = _rows(options, plans)
    say("\n".join([*report.runs_table(rows), *report.slopes(rows, "run", lambda p: p.targets)]))


def _metrics(options: argparse.Namespace) -> None:
    count = min(100, max(options.runs))
    plans = [Plan(targets=count, namespaces=count // PER_NAMESPACE, metrics=it) for it in METRICS]
    rows = _rows(options, plans)
    say("\n".join(report.slopes(rows, "metric of a run", lambda p: p.metrics * p.targets)))


def _namespaces(options: argparse.Namespace) -> None:
    count = min(100, max(options.runs))
    rows = _rows(options, [Plan(targets=count, namespaces=it) for it in (1, count)])
    say("\n".join(report.slopes(rows, "namespace", lambda p: p.namespaces)))


def _at_once(options: argparse.Namespace) -> None:
    plan = Plan(targets=min(300, max(options.runs)), namespaces=30, metrics=0, interval=30)
    _rows(options, [plan])


def _admission(options: argparse.Namespace) -> None:
    with _folder() as folder:
        found = admission.figures(folder, rate=options.rate, seconds=options.seconds)
    say(table([Section("admission at load", found)]))


_PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "idle": _idle,
    "runs": _runs,
    "metrics": _metrics,
    "namespaces": _namespaces,
    "at-once": _at_once,
    "admission": _admission,
}

if __name__ == "__main__":
    sys.exit(main())
