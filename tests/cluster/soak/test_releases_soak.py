"""A hundred releases on top of each other: each gets the right verdict, whatever came just before.

`RELEASES_PUSHES` and `RELEASES_SEED` say how many, and which at which moments.
"""

import os

import pytest

from tests.cluster.kit import Kubectl
from tests.cluster.plans import planned
from tests.cluster.played import BY_CHECKS, BY_EVIDENCE, SEED, Form, play
from tests.cluster.releases import PATIENCE

PUSHES = int(os.environ.get("RELEASES_PUSHES", "100"))
STEPS = (30, 60)
pytestmark = [pytest.mark.soak, pytest.mark.timeout(120 + PUSHES * PATIENCE)]


@pytest.mark.parametrize("form", [BY_EVIDENCE, BY_CHECKS], ids=lambda form: form.name)
def test_a_hundred_releases_on_top_of_each_other_are_judged_rightly(
    namespace: Kubectl, host: str, gateway: str, form: Form
) -> None:
    play(namespace, host, gateway, form, planned(SEED, PUSHES, STEPS), STEPS)
