"""The rows as text, and how each figure grows with what it is measured over."""

from collections.abc import Callable, Sequence

from tests.bench.figures import quantile
from tests.bench.scale.idle import IdleRow
from tests.bench.scale.runs import Row, Span
from tests.bench.scale.teams import Plan
from tests.bench.scale.traffic import SCRAPE_SECONDS

KIB = 1024
SHOWN_KINDS = 16


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line that lies closest to the points (least squares).

    Raises:
        ValueError: they are fewer than two, or above one another.

    """
    middle_x = sum(x for x, _ in points) / max(1, len(points))
    middle_y = sum(y for _, y in points) / max(1, len(points))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("no slope: one value of what it grows with")
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


# --- runs ----------------------------------------------------------------------------------------


def described(row: Row) -> list[str]:
    """Return a row in words, as it is printed."""
    plan = row.plan
    assert row.start is not None
    head = f"{plan.targets} runs, {plan.namespaces} namespaces, {plan.metrics} metrics,"
    return [
        f"{head} {plan.interval} s interval",
        f"  queue: most {row.deepest:.0f}, at most 20 after {row.short_after:.1f} s",
        (
            f"  write to first weight: median {_of(row.first_weight, 0.5)} s,"
            f" slowest {_of(row.first_weight, 1.0)} s, {row.never} of {plan.targets} had none"
        ),
        (
            f"  pod ready to first weight (to the second): median {_of(row.after_ready, 0.5)} s,"
            f" slowest {_of(row.after_ready, 1.0)} s"
        ),
        *_of_span("first minute", row.start),
        *_of_span("steady", _steady(row)),
        f"  memory: {row.idle_mib:.1f} -> {row.mib:.1f} MiB",
        (
            f"  refusing sample to weight 0: p50 {_of(row.refusal, 0.5)} s,"
            f" p99 {_of(row.refusal, 0.99)} s of {len(row.refusal)}"
            f" (to the verdict: p50 {_of(row.verdict, 0.5)} s)"
        ),
        f"  not refused {row.not_refused}, wrongly refused {row.wrongly_refused}",
    ]


def _of_span(what: str, span: Span) -> list[str]:
    reconciles, asked = max(1.0, span.reconciles), sum(span.prometheus.values())
    return [
        (
            f"  {what}: {span.cores:.3f} core, {span.ms_per_reconcile:.1f} ms per reconcile"
            f" ({span.reconciles:.0f}), {span.reads / reconciles:.2f} reads and"
            f" {span.writes / reconciles:.2f} writes per reconcile,"
            f" {(span.reads + span.writes) / span.seconds:.0f} requests/s"
        ),
        (
            f"    {span.writes / max(1, span.steps):.2f} writes per step ({span.steps});"
            f" {asked / span.seconds * SCRAPE_SECONDS:.1f} requests to Prometheus per"
            f" {SCRAPE_SECONDS} s, {span.prometheus_bytes / span.seconds:.0f} B/s"
        ),
        "    " + ", ".join(f"{n} {k}" for k, n in span.kinds.most_common(SHOWN_KINDS)),
    ]


def runs_table(rows: Sequence[Row]) -> list[str]:
    """Return the table of the rows; processor time also as a ratio of the first row's."""
    head = (
        "runs | queue, most | <= 20 after s | to first weight, median s | slowest s |"
        " after its pod was ready, slowest s | core | ms per reconcile | of the first row |"
        " reads per reconcile | writes per step |"
        f" Prometheus per {SCRAPE_SECONDS} s | MiB | sample to weight 0, p50 s | p99 s"
    )
    lines = [f"| {head} |", "| " + " | ".join(["---:"] * (head.count("|") + 1)) + " |"]
    first = _steady(rows[0]).ms_per_reconcile if rows else 1.0
    return [*lines, *("| " + " | ".join(_cells(row, first)) + " |" for row in rows)]


def _cells(row: Row, first_ms: float) -> list[str]:
    steady = _steady(row)
    return [
        f"{row.plan.targets}",
        f"{row.deepest:.0f}",
        f"{row.short_after:.0f}",
        _of(row.first_weight, 0.5),
        _of(row.first_weight, 1.0) + (f" ({row.never} none)" if row.never else ""),
        _of(row.after_ready, 1.0),
        f"{steady.cores:.2f}",
        f"{steady.ms_per_reconcile:.1f}",
        f"{steady.ms_per_reconcile / first_ms:.2f}",
        f"{steady.reads / max(1.0, steady.reconciles):.2f}",
        f"{steady.writes / max(1, steady.steps):.2f}",
        f"{sum(steady.prometheus.values()) / steady.seconds * SCRAPE_SECONDS:.1f}",
        f"{row.mib:.0f}",
        _of(row.refusal, 0.5),
        _of(row.refusal, 0.99),
    ]


def _of(values: Sequence[float], share: float) -> str:
    return f"{quantile(values, share):.2f}" if values else "-"


def _steady(row: Row) -> Span:
    assert row.steady is not None
    return row.steady


def slopes(rows: Sequence[Row], unit: str, grown: Callable[[Plan], int]) -> list[str]:
    """Return what one more of something costs, by the rows that differ in it."""
    if len({grown(row.plan) for row in rows}) < 2:
        return []
    memory = slope([(grown(row.plan), row.mib * KIB) for row in rows])
    cores = slope([(grown(row.plan), 1000 * _steady(row).cores) for row in rows])
    asked = slope(
        [
            (grown(row.plan), sum(_steady(row).prometheus.values()) / row_seconds(row))
            for row in rows
        ]
    )
    costs = f"{memory:.1f} KiB, {cores:.3f} thousandths of a core, {asked:.4f} requests to"
    return [f"per {unit}: {costs} Prometheus per second"]


def row_seconds(row: Row) -> float:
    """Return over how many seconds runs under way were looked at."""
    return _steady(row).seconds


# --- targets that rest ---------------------------------------------------------------------------


def of_idle(row: IdleRow) -> str:
    """Return a row in words."""
    where = "targets" if row.enabled else "Deployments without the label"
    return (
        f"{row.targets} {where}: {row.mib:.1f} MiB, {row.start:.1f} s of processor time until it"
        f" rested, then {row.processor:.2f} s in {row.seconds:.0f} s and {row.asked} requests"
    )


def idle_slopes(rows: Sequence[IdleRow]) -> list[str]:
    """Return what one more target costs that rests, and one more Deployment that is not gated."""
    found = []
    nothing = [row for row in rows if not row.targets]
    for enabled, what in ((True, "idle target"), (False, "Deployment without the label")):
        chosen = [*nothing, *(row for row in rows if row.targets and row.enabled is enabled)]
        if len({row.targets for row in chosen}) < 2:
            continue
        memory = slope([(row.targets, row.mib * KIB) for row in chosen])
        start = slope([(row.targets, 1000 * row.start) for row in chosen])
        found.append(f"per {what}: {memory:.2f} KiB, {start:.2f} ms of processor time at the start")
    return found
