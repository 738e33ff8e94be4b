"""What an admin may add to a load tester: each part changes what it says and no more."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtester.settings import JOBS_FOLDER, STATE_FOLDER, TABLE
from tests.unit.manifests.installation import (
    LOAD_TESTERS,
    Manifest,
    documents,
    files,
    objects,
    the,
)

JOBS, VOLUME = LOAD_TESTERS


def added(part: Path) -> dict[str, Manifest]:
    """Objects of a part, by kind."""
    found = [
        document
        for path in files(part)
        if path.name != "kustomization.yaml"
        for document in documents(path)
    ]
    return {it["kind"]: it for it in found}


def patched(part: Path) -> dict[str, Any]:
    """What a part says of the load tester's pod."""
    (patch,) = yaml.safe_load((part / "kustomization.yaml").read_text())["patches"]
    deployment = yaml.safe_load(patch["patch"])
    assert (deployment["kind"], deployment["metadata"]["name"]) == (
        "Deployment",
        "flagger-loadtester",
    )
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = the("Deployment", "flagger-loadtester")["spec"]["template"]["spec"]
    return spec


def mounts() -> dict[str, str]:
    return {it["name"]: it["mountPath"] for it in pod()["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize("part", LOAD_TESTERS, ids=lambda path: str(path.name))
def test_the_load_tester_is_without_it(part: Path) -> None:
    ours = {(it["kind"], it["metadata"]["name"]) for it in objects()}

    assert not ours & {(kind, it["metadata"]["name"]) for kind, it in added(part).items()}


def test_the_load_tester_has_rights_by_the_part_for_jobs_alone() -> None:
    assert "serviceAccountName" not in pod()
    assert pod()["automountServiceAccountToken"] is False
    assert patched(JOBS)["automountServiceAccountToken"] is True
    assert set(added(VOLUME)) == {"PersistentVolumeClaim"}


def test_its_rights_are_to_make_jobs_and_to_read_them_in_its_namespace() -> None:
    parts = added(JOBS)
    account = parts["ServiceAccount"]["metadata"]["name"]

    assert set(parts) == {"ServiceAccount", "Role", "RoleBinding"}
    assert parts["Role"]["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}
    ]
    assert parts["RoleBinding"]["roleRef"]["name"] == parts["Role"]["metadata"]["name"]
    assert parts["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert patched(JOBS)["serviceAccountName"] == account


def test_templates_are_mounted_where_they_are_looked_for_and_cannot_be_written() -> None:
    (container,) = patched(JOBS)["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = patched(JOBS)["volumes"]

    assert container["env"] == [{"name": JOBS_FOLDER.variable, "value": mount["mountPath"]}]
    assert mount["readOnly"] is True
    assert (mount["name"], set(volume)) == (volume["name"], {"name", "configMap"})
    assert JOBS_FOLDER in TABLE


def test_gates_are_kept_on_a_volume() -> None:
    volumes = {it["name"]: it for it in pod()["volumes"]}

    assert mounts()["state"] == STATE_FOLDER.default
    assert volumes["state"] == {"name": "state", "emptyDir": {"sizeLimit": "16Mi"}}


def test_a_claim_takes_the_place_of_the_volume_that_goes_with_the_pod() -> None:
    claim = added(VOLUME)["PersistentVolumeClaim"]["metadata"]["name"]
    (volume,) = patched(VOLUME)["volumes"]

    assert volume == {
        "name": "state",
        "emptyDir": None,
        "persistentVolumeClaim": {"claimName": claim},
    }
    assert patched(VOLUME)["securityContext"] == {"fsGroup": pod()["securityContext"]["runAsGroup"]}
