"""`python -m tests.bench`: measures, and prints what came out with the version and the machine."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from runtime.errors import HeadgateError
from tests.bench import (
    api_writes,
    evidence_cost,
    judge_cost,
    judged_releases,
    machine,
    refusals,
    releases,
    run_memory,
    switches,
    webhook_alone,
)
from tests.bench.figures import Figure, Section, table
from tests.bench.load import LoadError
from tests.bench.target_cluster import NoClusterError, Target, find
from tests.cluster.kit import KubectlError

BROKEN = (
    LoadError,
    KubectlError,
    HeadgateError,
    AssertionError,
    OSError,
    subprocess.SubprocessError,
)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    top = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    top.add_argument("--no-cluster", action="store_true", help="only what needs no Kubernetes")
    top.add_argument("--only", default="", help="sections whose title has these words, no judge")
    top.add_argument("--long", action="store_true", help="every row of the simulation, at length")
    top.add_argument("--seconds", type=float, default=6, help="of each load on the webhook")
    top.add_argument("--rounds", type=int, default=400, help="writes per arm")
    return top


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def sections(options: argparse.Namespace) -> Iterator[Section]:
    """Measure one section after the other, those alone whose title has the words of `only`."""
    alone: dict[str, Callable[[], list[Figure]]] = {
        "the judge alone": judge_cost.figures,
        "evidence, gathered": evidence_cost.figures,
        "memory of a run": run_memory.figures,
        "refusals among many runs": refusals.figures,
        "webhook alone": partial(webhook_alone.figures, seconds=options.seconds),
    }
    steps: dict[str, Callable[[Target], list[Figure]]] = {
        "writes through the API server": partial(api_writes.figures, rounds=options.rounds),
        "a good release on the sandbox": releases.promotion,
        "a bad release on the sandbox": releases.refusal,
        **switches.sections(),
        "bad releases, judged on the sandbox": judged_releases.figures,
        "bad releases over a stable with a history": judged_releases.known,
        "memory in the cluster": api_writes.memory,
    }
    for title, measured in alone.items():
        if options.only in title:
            yield _section(title, measured)
    asked = [title for title in steps if options.only in title]
    target, missing = _cluster(wanted=bool(asked) and not options.no_cluster)
    for title in asked:
        if target is None:
            yield Section(title, skipped=missing)
        else:
            yield _section(title, partial(steps[title], target))


def _cluster(*, wanted: bool) -> tuple[Target | None, str]:
    """Return the cluster, or why there is none."""
    if not wanted:
        return None, "no cluster, as asked"
    try:
        return find(), ""
    except NoClusterError as reason:
        return None, str(reason)


def _section(title: str, measure: Callable[[], list[Figure]]) -> Section:
    sys.stderr.write(f"measuring: {title} ...\n")
    try:
        return Section(title, measure())
    except NoClusterError as reason:
        return Section(title, skipped=str(reason))
    except BROKEN as error:
        return Section(title, broken=f"{error}")


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 0 whatever the figures are.

    1 if one could not be taken, misses a binding aim, or the judge breaks a bound.
    """
    options = parser().parse_args(words)
    head = machine.describe()
    measured = list(sections(options))
    say("\n".join([*head, "", table(measured)]))
    failed = not measured or any(section.has_failed for section in measured)
    kept = bool(options.only) or _simulate(*([] if options.long else ["--quick"]))
    return 1 if failed or not kept else 0


def _simulate(*words: str) -> bool:
    """Run the judge through simulated traffic; tell whether every bound was kept."""
    say("\nThe judge on simulated traffic:")
    command = [sys.executable, "-m", "tests.simulation", *words]
    return subprocess.run(command, cwd=machine.ROOT, check=False).returncode == 0  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
