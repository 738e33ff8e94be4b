"""Releases on top of each other: each gets the right verdict, whatever came just before."""

import pytest

from tests.cluster.kit import Kubectl
from tests.cluster.plans import planned
from tests.cluster.played import BY_CHECKS, BY_EVIDENCE, SEED, Form, play

pytestmark = pytest.mark.cluster
ONE_STEP = (50,)


@pytest.mark.parametrize("form", [BY_EVIDENCE, BY_CHECKS], ids=lambda form: form.name)
@pytest.mark.slow
@pytest.mark.timeout(400, func_only=True)
def test_ten_releases_on_top_of_each_other_are_judged_rightly(
    namespace: Kubectl, host: str, gateway: str, form: Form
) -> None:
    play(namespace, host, gateway, form, planned(SEED, 10, ONE_STEP), ONE_STEP)
