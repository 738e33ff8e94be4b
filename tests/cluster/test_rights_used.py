"""Every right that is granted was used by the suite: nothing is granted that nobody needs."""

from pathlib import Path

import pytest

from sandbox import audit
from tests.cluster.kit import Kubectl
from tests.unit.manifests.installation import objects

pytestmark = pytest.mark.cluster
SELDOM = {
    ("headgate-analyzer", "replicasets", "get"): "read again after somebody else wrote to one",
}
"""What takes an accident that no test brings about on a cluster, with when it is needed."""


def test_every_right_is_used(request: pytest.FixtureRequest, exclusive: Kubectl) -> None:
    del exclusive
    if not audit.logs():
        pytest.skip("the API server writes no audit log: it is not the sandbox's")
    ours = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    if not ours <= {item.path.name for item in request.session.items}:
        pytest.skip("a part of the suite uses a part of the rights")
    used = {
        right
        for file in audit.logs()
        for right in audit.used(file.read_text(errors="replace").splitlines())
    }
    idle = {
        (right.account, right.resource, right.verb) for right in audit.granted(objects()) - used
    }

    assert idle - SELDOM.keys() == set()
