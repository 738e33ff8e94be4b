"""What the images hold, looked at in the pods that run them."""

import pytest

from tests.cluster.kit import Kubectl

pytestmark = pytest.mark.cluster
LOOK = """
import os, re
kind = re.compile(r"(pip|setuptools|wheel|ensurepip|pkg_resources)(-\\d.*|\\d[\\d.]*)?(\\.whl)?")
for top in ("/usr", "/opt", "/app"):
    for folder, folders, files in os.walk(top):
        if "doc" not in folder.split("/"):
            found = [it for it in (*folders, *files) if kind.fullmatch(it)]
            print(*(os.path.join(folder, it) for it in found), sep="\\n", end="\\n" * bool(found))
"""


@pytest.mark.parametrize(
    "place",
    [
        ("headgate-system", "headgate-webhook"),
        ("headgate-system", "headgate-analyzer"),
        ("headgate-system", "headgate-certs"),
        ("", "flagger-loadtester"),
    ],
    ids=lambda place: place[1],
)
def test_nothing_that_installs_is_left(namespace: Kubectl, place: tuple[str, str]) -> None:
    where, name = place
    kubectl = namespace.within(where or namespace.namespace)

    assert kubectl("exec", f"deployment/{name}", "--", "python", "-c", LOOK) == ""
