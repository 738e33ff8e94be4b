"""The strategies of a Canary as a real Flagger runs them.

The forms and what users must meet in them are those of
`tests/cluster/test_releases_by_strategy.py`, which holds Headgate to the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.flagger_kit import flagger, for_flagger, success_template
from tests.cluster.kit import Kubectl, message
from tests.cluster.test_releases_by_strategy import (
    BAD,
    BLUE_GREEN,
    COPIED,
    ERRORS,
    GOOD,
    KEPT,
    MATCH,
    RATE,
    Form,
    Team,
    answered,
    meets_users_as_its_strategy_says,
    team,
)

# Flagger is built with the first test.
pytestmark = [pytest.mark.peer, pytest.mark.timeout(1800)]


@contextmanager
def flaggers(kubectl: Kubectl, gateway: str, folder: Path, form: Form) -> Iterator[Team]:
    """Set an app up that Flagger releases."""
    host = f"{kubectl.namespace}.example"
    objects = [success_template(kubectl), for_flagger(form.canary(), host)]
    with flagger(kubectl, folder), team(kubectl, host, gateway, form, objects) as there:
        yield there


@pytest.mark.parametrize("form", [MATCH, KEPT], ids=lambda form: form.name)
def test_users_meet_with_flagger_what_they_meet_with_headgate(
    unlabelled: Kubectl, gateway: str, tmp_path: Path, form: Form
) -> None:
    with flaggers(unlabelled, gateway, tmp_path, form) as there:
        looks = there.push(GOOD, {})
        assert looks[-1].phase == "Succeeded", message(unlabelled)
        meets_users_as_its_strategy_says(
            there, GOOD, [look for look in looks if look.phase == "Progressing"]
        )
        assert there.push(BAD, ERRORS)[-1].phase == "Failed", message(unlabelled)


def test_flagger_says_no_weight_while_a_copied_canary_answers_users(
    unlabelled: Kubectl, gateway: str, tmp_path: Path
) -> None:
    """Headgate's status says 100 then; the verdicts are the same."""
    with flaggers(unlabelled, gateway, tmp_path, COPIED) as there:
        looks = there.push(GOOD, {})
        assert looks[-1].phase == "Succeeded", message(unlabelled)
        alone = [look for look in looks if look.phase == "Progressing" and look.weight == 0]
        assert max(look.served for look in alone) > RATE
        assert answered(there.users, GOOD, alone[-1].at) > 0
        assert there.push(BAD, ERRORS)[-1].phase == "Failed", message(unlabelled)


def test_a_good_version_without_requests_is_refused_by_flagger(
    unlabelled: Kubectl, gateway: str, tmp_path: Path
) -> None:
    """Headgate judges it when it has the traffic: see the same form in the other file."""
    with flaggers(unlabelled, gateway, tmp_path, BLUE_GREEN) as there:
        assert there.push(GOOD, {})[-1].phase == "Failed", message(unlabelled)
