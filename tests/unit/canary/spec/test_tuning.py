"""One table: what the environment, a Canary and a command say of a run ends in the same values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.settings import Settings, read_settings
from canary.evidence.policy import Inconclusive
from canary.model.strategy import FailureCount, InvalidStrategy, NoDataPolicy, Strategy
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.problems import Problems
from canary.spec.settings import (
    JUDGING,
    TABLE,
    Tuning,
    from_annotations,
    from_environment,
    from_options,
    tuned,
    tuning_of,
)
from canary.spec.sources import Setting
from canary.spec.steps import linear
from certs.settings import read_settings as read_certs_settings
from tests.fakes.objects import canary
from webhook.settings import read_settings as read_webhook_settings

Read = Callable[[Mapping[str, str], Problems, Tuning], Tuning]
PLAIN = Strategy(interval=timedelta(minutes=1), threshold=3, steps=linear((10, 50)))
OTHERWISE: dict[str, tuple[str, object]] = {
    "evidence": ("off", False),
    "alpha": ("0.5", 0.005),
    "beta": ("10%", 0.1),
    "gate": ("non-inferiority", True),
    "error_budget": ("50", 50),
    "decide_within": ("30m", timedelta(minutes=30)),
    "on_inconclusive": ("rollback", Inconclusive.ROLLBACK),
    "bake": ("10m", timedelta(minutes=10)),
    "no_data": ("fail", NoDataPolicy.FAIL),
    "no_data_after": ("1m", timedelta(minutes=1)),
    "failure_count": ("cumulative", FailureCount.CUMULATIVE),
    "recorded_window": ("1m", timedelta(minutes=1)),
    "by_pods": ("on", True),
}
"""Of every field a text that changes it, and its value then."""
PLACES: list[tuple[Read, Callable[[Setting[object]], str]]] = [
    (from_environment, lambda setting: setting.variable),
    (from_annotations, lambda setting: setting.annotation),
    (from_options, lambda setting: setting.option),
]
tunings = st.builds(
    Tuning,
    alpha=st.floats(1e-8, 0.49),
    beta=st.floats(1e-8, 0.49),
    error_budget=st.none() | st.integers(1, 10**6),
    decide_within=st.timedeltas(timedelta(0), timedelta(days=366)),
    on_inconclusive=st.sampled_from(Inconclusive),
    bake=st.timedeltas(timedelta(0), timedelta(days=366)),
)


def test_every_field_has_one_row() -> None:
    assert [setting.name for setting in JUDGING] == [field.name for field in fields(Tuning)]
    assert set(OTHERWISE) == {setting.name for setting in JUDGING}


def test_no_two_rows_share_a_place_and_each_can_be_set_somewhere() -> None:
    for name in ("variable", "annotation", "option"):
        named = [key for setting in TABLE if (key := getattr(setting, name))]
        assert sorted(named) == sorted(set(named))
    assert all(setting.variable or setting.annotation for setting in TABLE)
    assert all(setting.help and "\n" not in setting.help for setting in TABLE)


@pytest.mark.parametrize(("read", "place"), PLACES, ids=["environment", "annotations", "options"])
@pytest.mark.parametrize("setting", JUDGING, ids=[setting.name for setting in JUDGING])
def test_a_row_sets_its_own_field_and_no_other(
    setting: Setting[object], read: Read, place: Callable[[Setting[object]], str]
) -> None:
    key, (written, value) = place(setting), OTHERWISE[setting.name]
    problems = Problems()
    found = read({key: written} if key else {}, problems, Tuning())
    changed = {
        field.name: getattr(found, field.name)
        for field in fields(Tuning)
        if getattr(found, field.name) != getattr(Tuning(), field.name)
    }
    assert changed == ({setting.name: value} if key else {})
    assert problems.found == []


@pytest.mark.parametrize(("read", "_place"), PLACES)
@given(base=tunings)
def test_where_nothing_is_said_all_stays(read: Read, _place: object, base: Tuning) -> None:
    assert read({"HEADGATE_EVIDENCE_ALPHA": ""}, Problems(), base) == base


@given(tuning=tunings)
def test_a_strategy_keeps_how_it_is_judged(tuning: Tuning) -> None:
    strategy = tuned(PLAIN, tuning)
    assert tuning_of(strategy) == tuning
    assert strategy.policy.alpha_history == tuning.alpha / 10
    assert tuned(strategy, tuning) == strategy
    plain = tuned(strategy, tuning_of(PLAIN))
    # A bake takes a step of its own, which stays.
    assert plain.weights[:2] == PLAIN.weights
    assert replace(plain, steps=plain.steps[:2]) == PLAIN


def test_the_table_and_the_model_agree_on_what_is_usual() -> None:
    assert tuning_of(PLAIN) == Tuning()
    assert read_settings({}) == Settings()


def test_a_canary_says_otherwise_than_the_admin_and_a_command_than_both() -> None:
    admin = read_settings(
        {"HEADGATE_EVIDENCE_ALPHA": "2", "HEADGATE_EVIDENCE_BETA": "3", "HEADGATE_EVIDENCE": "off"}
    )
    obj = canary()
    obj["metadata"]["annotations"] = {"headgate.dev/evidence-beta": "4"}
    strategy = parse_strategy(obj, admin.defaults)
    assert isinstance(strategy, Strategy)
    found = tuning_of(strategy)
    assert (found.evidence, found.alpha, found.beta) == (False, 0.02, 0.04)
    tried = from_options({"--beta": "5"}, Problems(), found)
    assert tried == replace(found, beta=0.05)


def test_every_mistaken_annotation_is_told_with_its_value() -> None:
    wrong = {setting.annotation: "shrug!" for setting in JUDGING if setting.annotation}
    obj = canary()
    obj["metadata"]["annotations"] = wrong
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, InvalidStrategy)
    assert [problem.split(": ")[0] for problem in found.problems] == [
        f"annotation {name}" for name in wrong
    ]
    assert all("'shrug!'" in problem for problem in found.problems)


def test_a_time_that_would_leave_the_calendar_is_refused() -> None:
    obj = canary()
    obj["metadata"]["annotations"] = {"headgate.dev/bake": "999999999999h"}
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, InvalidStrategy)
    assert "longer than 366 days" in found.problems[0]


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (
            read_settings,
            [
                "HEADGATE_PROBES_PORT",
                "HEADGATE_LOG_LEVEL",
                "HEADGATE_DRAIN",
                "HEADGATE_EVIDENCE_ALPHA",
                "HEADGATE_DEFAULT_STEP_WEIGHTS",
            ],
        ),
        (
            read_webhook_settings,
            ["HEADGATE_PORT", "HEADGATE_PROBES_PORT", "HEADGATE_ALLOW_OPT_OUT"],
        ),
        (read_certs_settings, ["HEADGATE_PROBES_PORT", "HEADGATE_LOG_LEVEL"]),
    ],
    ids=["analyzer", "webhook", "certs"],
)
def test_all_variables_that_cannot_be_read_are_told_at_once(
    read: Callable[[Mapping[str, str]], object], wrong: list[str]
) -> None:
    with pytest.raises(ValueError, match="HEADGATE_") as raised:
        read(dict.fromkeys(wrong, "shrug!"))
    told = re.findall(r"(HEADGATE_\w+): 'shrug!'", str(raised.value))
    assert sorted(told) == sorted(wrong)
