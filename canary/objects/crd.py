"""What the cluster's own definition of a Canary has to allow."""

from typing import Final

from canary.model.values import Json

NAME: Final = "canaries.flagger.app"
MANIFEST: Final = "manifests/crds/canary.yaml"
"""Where ours is, from the top of the repository."""
_VERSION: Final = "v1beta1"
_KEEPS: Final = "x-kubernetes-preserve-unknown-fields"


def lacking(crd: Json) -> str:
    """Say what a cluster's definition of a Canary does not allow; "" where it is fit for Headgate.

    Flagger's keeps no record of a run, and its objects must say how their traffic grows.

    Args:
        crd: the CustomResourceDefinition as the API server stores it.

    """
    versions = (one for one in crd["spec"]["versions"] if one["name"] == _VERSION)
    schema = _at(next(versions, {}), "schema", "openAPIV3Schema")
    missing = []
    if not _keeps_runs(schema):
        missing.append("it keeps no status.run, so that no run is remembered")
    if not _may_be_open(_at(schema, "properties", "spec", "properties", "analysis")):
        missing.append("it takes no empty spec.analysis, so that none is made for a target")
    if not missing:
        return ""
    return (
        f"CustomResourceDefinition {NAME} is not Headgate's: {'; '.join(missing)}. Apply it: "
        f"kubectl apply --server-side --force-conflicts -f {MANIFEST}"
    )


def _keeps_runs(schema: Json) -> bool:
    status = _at(schema, "properties", "status")
    run = _at(status, "properties", "run")
    return any(part.get(_KEEPS) for part in (schema, status, run))


def _may_be_open(analysis: Json) -> bool:
    """Tell whether an analysis may be empty: one branch, and one only, asks for nothing."""
    branches = analysis.get("oneOf")
    if branches is None:
        return "required" not in analysis
    return sum("required" not in branch for branch in branches) == 1


def _at(schema: Json, *path: str) -> Json:
    for name in path:
        schema = schema.get(name) or {}
    return schema
