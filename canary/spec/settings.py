"""One table of everything that can be set about a run, and the values that are read by it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from canary import contract
from canary.evidence.policy import Inconclusive, Policy
from canary.model.steps import Step
from canary.model.strategy import FailureCount, NoDataPolicy, Strategy
from canary.model.world import OnUnsuitable, Timing
from canary.spec import parsers
from canary.spec.problems import Problems
from canary.spec.sources import (
    Setting,
    Source,
    annotations,
    command_line,
    environment,
    record,
)
from canary.spec.steps import judged

_CAREFUL: Final = Policy()

# --- how a run is judged: what the admin sets, and what a Canary or a command says otherwise ------

JUDGED: Final = Setting(
    name="evidence",
    parse=parsers.switch,
    default=_CAREFUL.enabled,
    variable="HEADGATE_EVIDENCE",
    annotation=contract.EVIDENCE,
    help="off leaves verdicts to the checks of every interval alone",
)
ALPHA: Final = Setting(
    name="alpha",
    parse=parsers.percent,
    default=_CAREFUL.alpha,
    variable="HEADGATE_EVIDENCE_ALPHA",
    annotation=contract.EVIDENCE_ALPHA,
    option="--alpha",
    help="chance in percent that a healthy candidate is refused by what was counted",
)
BETA: Final = Setting(
    name="beta",
    parse=parsers.percent,
    default=_CAREFUL.beta,
    variable="HEADGATE_EVIDENCE_BETA",
    annotation=contract.EVIDENCE_BETA,
    option="--beta",
    help="chance in percent that an inferior one passes the gate",
)
GATE: Final = Setting(
    name="gate",
    parse=parsers.promotion_gate,
    default=False,
    variable="HEADGATE_PROMOTION_GATE",
    annotation=contract.PROMOTION_GATE,
    option="--gate",
    help="non-inferiority: every step after the first waits until it is shown; none: no step does",
)
BUDGET: Final[Setting[int | None]] = Setting(
    name="error_budget",
    parse=parsers.answers,
    default=None,
    annotation=contract.ERROR_BUDGET,
    help="bad answers that a larger share may cost at worst, until the next tick",
)
WITHIN: Final = Setting(
    name="decide_within",
    parse=parsers.duration,
    default=timedelta(hours=1),
    annotation=contract.DECIDE_WITHIN,
    help="how long gate and budget wait, from the start of the run",
)
INCONCLUSIVE: Final = Setting(
    name="on_inconclusive",
    parse=parsers.member(Inconclusive),
    default=_CAREFUL.on_inconclusive,
    annotation=contract.ON_INCONCLUSIVE,
    help="what happens to a run whose evidence is open by then",
)
BAKING: Final = Setting(
    name="bake",
    parse=parsers.duration,
    default=timedelta(0),
    annotation=contract.BAKE,
    help="how long a full-size canary is judged at weight 100 before the promotion",
)
NO_DATA: Final = Setting(
    name="no_data",
    parse=parsers.member(NoDataPolicy),
    default=NoDataPolicy.HOLD,
    annotation=contract.ON_NO_DATA,
    help="what a metric without a value means once that has lasted",
)
NO_DATA_AFTER: Final = Setting(
    name="no_data_after",
    parse=parsers.duration,
    default=timedelta(minutes=10),
    annotation=contract.ON_NO_DATA_AFTER,
    help="how long a metric may have no value before that means something",
)
FAILURES: Final = Setting(
    name="failure_count",
    parse=parsers.member(FailureCount),
    default=FailureCount.CONSECUTIVE,
    annotation=contract.FAILURES_COUNT,
    help="how failed checks add up to the threshold",
)
RECORDED: Final = Setting(
    name="recorded_window",
    parse=parsers.duration,
    default=timedelta(minutes=5),
    annotation=contract.RECORDED_WINDOW,
    help="how far back series look that recording rules have made",
)
BY_PODS: Final = Setting(
    name="by_pods",
    parse=parsers.switch,
    default=False,
    variable="HEADGATE_SHARE_BY_PODS",
    annotation=contract.SHARE_BY_PODS,
    help="on shares traffic by the number of pods where no route leads to the Service",
)

# --- the admin's alone ----------------------------------------------------------------------------

METRICS_SERVER: Final = Setting(
    name="metrics_server",
    parse=parsers.text,
    default="http://prometheus.monitoring:9090",
    variable="HEADGATE_METRICS_SERVER",
    help="Prometheus for built-in metrics and inline queries",
)
DRAIN: Final = Setting(
    name="drain",
    parse=parsers.duration,
    default=Timing().drain,
    variable="HEADGATE_DRAIN",
    help="time for open connections between weight 0 and the end of the canary's pods",
)
MIN_INTERVAL: Final = Setting(
    name="min_interval",
    parse=parsers.interval,
    default=timedelta(seconds=10),
    variable="HEADGATE_MIN_INTERVAL",
    help="shortest analysis.interval; a shorter one counts as this",
)
PODS_INTERVAL: Final = Setting(
    name="pods",
    parse=parsers.interval,
    default=timedelta(seconds=2),
    variable="HEADGATE_EVIDENCE_INTERVAL",
    help="time between two readings of the pods' own metrics pages",
)
SCRAPE_INTERVAL: Final = Setting(
    name="server",
    parse=parsers.interval,
    default=timedelta(seconds=15),
    variable="HEADGATE_METRICS_SCRAPE_INTERVAL",
    help="scrape interval of the Prometheus, where counters are read there",
)
WEIGHTS: Final[Setting[tuple[int, ...]]] = Setting(
    name="weights",
    parse=parsers.weights,
    default=(5, 10, 25, 50),
    variable="HEADGATE_DEFAULT_STEP_WEIGHTS",
    help="shares in percent, where no Canary says otherwise",
)
INTERVAL: Final = Setting(
    name="interval",
    parse=parsers.interval,
    default=timedelta(seconds=30),
    variable="HEADGATE_DEFAULT_INTERVAL",
    help="time between two steps, where no Canary says otherwise",
)
THRESHOLD: Final = Setting(
    name="threshold",
    parse=parsers.whole(1, such_as="3"),
    default=3,
    variable="HEADGATE_DEFAULT_THRESHOLD",
    help="failed checks in a row that refuse, where no Canary says otherwise",
)
MIN_SUCCESS_RATE: Final = Setting(
    name="min_success_rate",
    parse=parsers.number(0, 100, such_as="99"),
    default=99.0,
    variable="HEADGATE_DEFAULT_MIN_SUCCESS_RATE",
    help="least share of requests without a 5xx, in percent, where no Canary says otherwise",
)
MAX_DURATION_MS: Final = Setting(
    name="max_duration_ms",
    parse=parsers.number(0, math.inf, such_as="500"),
    default=500.0,
    variable="HEADGATE_DEFAULT_MAX_DURATION_MS",
    help="longest 99th percentile of the request time, in ms, where no Canary says otherwise",
)
ON_UNSUITABLE: Final = Setting(
    name="on_unsuitable",
    parse=parsers.member(OnUnsuitable),
    default=OnUnsuitable.HOLD,
    variable="HEADGATE_ON_UNSUITABLE",
    help="what becomes of an update whose Deployment can have no canary",
)

CROSS_NAMESPACE_REFS: Final = Setting(
    name="cross_namespace_refs",
    parse=parsers.truth,
    default=False,
    variable="HEADGATE_CROSS_NAMESPACE_REFS",
    help="true lets a Canary name a MetricTemplate or AlertProvider of another namespace",
)

JUDGING: Final[tuple[Setting[object], ...]] = (
    JUDGED,
    ALPHA,
    BETA,
    GATE,
    BUDGET,
    WITHIN,
    INCONCLUSIVE,
    BAKING,
    NO_DATA,
    NO_DATA_AFTER,
    FAILURES,
    RECORDED,
    BY_PODS,
)
"""One row for each field of a `Tuning`."""
ADMIN_ONLY: Final[tuple[Setting[object], ...]] = (
    METRICS_SERVER,
    DRAIN,
    MIN_INTERVAL,
    PODS_INTERVAL,
    SCRAPE_INTERVAL,
    WEIGHTS,
    INTERVAL,
    THRESHOLD,
    MIN_SUCCESS_RATE,
    MAX_DURATION_MS,
    ON_UNSUITABLE,
)
TABLE: Final = JUDGING + ADMIN_ONLY
"""Everything that can be set about a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a run is judged, as far as its Canary's annotations may say it; the table has the words.

    `alpha` and `beta` are fractions (0.01 is 1 %), `error_budget` counts answers, None for no
    limit.
    """

    evidence: bool = JUDGED.default
    alpha: float = ALPHA.default
    beta: float = BETA.default
    gate: bool = GATE.default
    error_budget: int | None = BUDGET.default
    decide_within: timedelta = WITHIN.default
    on_inconclusive: Inconclusive = INCONCLUSIVE.default
    bake: timedelta = BAKING.default
    no_data: NoDataPolicy = NO_DATA.default
    no_data_after: timedelta = NO_DATA_AFTER.default
    failure_count: FailureCount = FAILURES.default
    recorded_window: timedelta = RECORDED.default
    by_pods: bool = BY_PODS.default


_USUAL: Final = Tuning()


def from_environment(
    values: Mapping[str, str], problems: Problems, base: Tuning = _USUAL
) -> Tuning:
    """Return what the admin sets for every Canary that does not say otherwise.

    Args:
        values: texts by environment variable.
        problems: where mistakes are noted.
        base: what holds where a variable is missing.

    """
    return _read(environment(values, problems), base)


def from_annotations(
    values: Mapping[str, str], problems: Problems, base: Tuning = _USUAL
) -> Tuning:
    """Return what a Canary asks for.

    Args:
        values: texts by annotation.
        problems: where mistakes are noted.
        base: the admin's.

    """
    return _read(annotations(values, problems), base)


def from_options(values: Mapping[str, str], problems: Problems, base: Tuning = _USUAL) -> Tuning:
    """Return what a person wants to try.

    Args:
        values: texts by option, of those that were given.
        problems: where mistakes are noted.
        base: what the Canary and the admin have set.

    """
    return _read(command_line(values, problems), base)


def from_record(values: Mapping[str, str], base: Tuning) -> Tuning:
    """Return what a run remembers of how it is judged.

    Args:
        values: texts by the setting's key.
        base: what holds where nothing that can be read is remembered.

    """
    return _read(record(values, Problems()), base)


def _read(source: Source, base: Tuning) -> Tuning:
    read = source.read
    return Tuning(
        evidence=read(JUDGED, base.evidence),
        alpha=read(ALPHA, base.alpha),
        beta=read(BETA, base.beta),
        gate=read(GATE, base.gate),
        error_budget=read(BUDGET, base.error_budget),
        decide_within=read(WITHIN, base.decide_within),
        on_inconclusive=read(INCONCLUSIVE, base.on_inconclusive),
        bake=read(BAKING, base.bake),
        no_data=read(NO_DATA, base.no_data),
        no_data_after=read(NO_DATA_AFTER, base.no_data_after),
        failure_count=read(FAILURES, base.failure_count),
        recorded_window=read(RECORDED, base.recorded_window),
        by_pods=read(BY_PODS, base.by_pods),
    )


def tuned(strategy: Strategy, tuning: Tuning) -> Strategy:
    """Return a strategy that is judged so; a tenth of alpha stays with the learned bounds."""
    return replace(
        strategy,
        policy=replace(
            strategy.policy,
            enabled=tuning.evidence,
            alpha=tuning.alpha,
            alpha_history=tuning.alpha / 10,
            beta=tuning.beta,
            on_inconclusive=tuning.on_inconclusive,
        ),
        steps=_judged(strategy.steps, tuning),
        unrouted=_judged(strategy.unrouted, tuning, whole=False),
        decide_within=tuning.decide_within,
        no_data=tuning.no_data,
        no_data_after=tuning.no_data_after,
        failure_count=tuning.failure_count,
        recorded_window=tuning.recorded_window,
        by_pods=tuning.by_pods,
    )


def _judged(steps: tuple[Step, ...], tuning: Tuning, *, whole: bool = True) -> tuple[Step, ...]:
    """Return steps with what must hold before each is left; there may be none."""
    if not steps:
        return ()
    budget, bake = tuning.error_budget, tuning.bake
    return judged(steps, gate=tuning.gate, error_budget=budget, bake=bake, whole=whole)


def tuning_of(strategy: Strategy) -> Tuning:
    """Return how a strategy is judged: what `tuned` has put into it."""
    return Tuning(
        evidence=strategy.policy.enabled,
        alpha=strategy.policy.alpha,
        beta=strategy.policy.beta,
        gate=strategy.gate,
        error_budget=strategy.error_budget,
        decide_within=strategy.decide_within,
        on_inconclusive=strategy.policy.on_inconclusive,
        bake=strategy.bake,
        no_data=strategy.no_data,
        no_data_after=strategy.no_data_after,
        failure_count=strategy.failure_count,
        recorded_window=strategy.recorded_window,
        by_pods=strategy.by_pods,
    )
