"""The manifests as an admin applies them: what the kustomizations name, read from the files."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[3]
MANIFESTS = REPOSITORY / "manifests"
BASES = (MANIFESTS, MANIFESTS / "loadtester")
ALERTS = MANIFESTS / "alerts"
GRAFANA = MANIFESTS / "grafana"
POLICIES = MANIFESTS / "network-policies"
COMPONENTS = (POLICIES, POLICIES / "loadtester")
"""What an admin may add to them."""
LOAD_TESTERS = (MANIFESTS / "loadtester" / "jobs", MANIFESTS / "loadtester" / "volume")
"""What an admin may add to a load tester."""
METRIC_RIGHTS = MANIFESTS / "metric-rights"
"""What an admin may let the analyzer read besides."""
POD_SHARES = MANIFESTS / "pod-shares"
"""What an admin may let it write where traffic is shared by the number of pods."""
ROUTE_RIGHTS = tuple(
    MANIFESTS / "route-rights" / name
    for name in (
        "grpcroutes",
        "contour",
        "istio",
        "traefik",
        "nginx",
        "linkerd",
        "other-namespaces",
    )
)
"""On which more kinds of routes an admin may let it split traffic."""
CLIENTS = MANIFESTS / "client-authentication"
"""What an admin may change of them."""

Manifest = dict[str, Any]


def files(base: Path) -> Iterator[Path]:
    """Files that the kustomization in `base` names, those of the bases that it names included."""
    kustomization = base / "kustomization.yaml"
    yield kustomization
    for resource in yaml.safe_load(kustomization.read_text())["resources"]:
        path = base / resource
        yield from files(path) if path.is_dir() else [path]


@cache
def documents(path: Path) -> list[Manifest]:
    """Every object of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def objects(*bases: Path) -> list[Manifest]:
    """Every object of these bases."""
    return [
        document
        for base in bases or BASES
        for path in files(base)
        if path.name != "kustomization.yaml"
        for document in documents(path)
    ]


def of_kind(kind: str) -> list[Manifest]:
    """Every object of a kind, in every base."""
    return [manifest for manifest in objects() if manifest["kind"] == kind]


def the(kind: str, name: str) -> Manifest:
    """One object; that there is exactly one of this name is part of the check."""
    (manifest,) = [it for it in of_kind(kind) if it["metadata"]["name"] == name]
    return manifest


def rules_of(account: str) -> list[Manifest]:
    """Rules that are bound to a service account, each with the `scope` that it holds in."""
    return [
        {**rule, "scope": binding["metadata"].get("namespace", "cluster")}
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in of_kind(kind)
        if account in [subject["name"] for subject in binding["subjects"]]
        for rule in the(binding["roleRef"]["kind"], binding["roleRef"]["name"])["rules"]
    ]
