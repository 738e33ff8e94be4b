"""What only one pod may have at a time."""

from typing import Any

import pytest

from canary.model.values import Json
from canary.objects.exclusive import claims_of, in_the_way
from tests.fakes.objects import deployment


def with_pod(**fields: Any) -> Json:
    target = deployment()
    target["spec"]["template"]["spec"] |= fields
    return target


def container(**port: int) -> Json:
    return {"name": "app", "image": "web:1", "ports": [port]}


def claim(name: str, *modes: str) -> Json:
    return {"metadata": {"name": name}, "spec": {"accessModes": list(modes)}}


def test_claims_are_those_that_all_pods_share() -> None:
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "emptyDir": {}},
        {"name": "c", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "cache"}},
    ]
    assert claims_of(with_pod(volumes=volumes)) == ("cache", "data")
    assert claims_of(deployment()) == ()


TWO = with_pod(
    containers=[container(containerPort=80, hostPort=90)],
    initContainers=[container(containerPort=81, hostPort=81)],
)


@pytest.mark.parametrize(
    ("target", "claims", "said"),
    [
        (deployment(), [], ""),
        (with_pod(containers=[container(containerPort=80)]), [], ""),
        (with_pod(containers=[container(containerPort=80, hostPort=0)]), [], ""),
        (TWO, [], "hostPort 81, hostPort 90"),
        (deployment(), [claim("data", "ReadWriteOnce"), claim("all", "ReadWriteMany")], ""),
        (deployment(), [claim("data")], ""),
        (
            deployment(),
            [claim("data", "ReadWriteOncePod")],
            "volume claim data (ReadWriteOncePod)",
        ),
    ],
)
def test_what_is_in_the_way(target: Json, claims: list[Json], said: str) -> None:
    assert in_the_way(target, claims) == said
