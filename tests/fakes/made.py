"""Canaries as an API server stores them after others have written over one of ours."""

import json
from copy import deepcopy
from typing import Any

from canary.contract import FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL
from canary.model.values import Json
from canary.spec.made import LAST_APPLIED, made_canary

OWNER: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
FLAGGERS: Json = {"interval": "1m", "threshold": 3, "stepWeight": 10, "maxWeight": 50}
"""An analysis as a team that knows Flagger writes it."""
FORMER: Json = {
    "interval": "30s",
    "threshold": 3,
    "stepWeights": [5, 10, 25, 50],
    "metrics": [
        {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99.0}},
        {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500.0}},
    ],
}
"""The analysis that the release before wrote from the usual defaults."""


def owned(spec: Json) -> Json:
    """Return the fields of a spec as `fieldsV1` has them: lists are leaves."""
    return {
        f"f:{name}": owned(value) if isinstance(value, dict) else {} for name, value in spec.items()
    }


def entry(manager: str, operation: str, spec: Json, subresource: str = "") -> Json:
    """Return one manager's fields."""
    found: Json = {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": owned(spec)} if spec else {"f:metadata": {"f:labels": {}}},
    }
    return {**found, "subresource": subresource} if subresource else found


def made() -> Json:
    """Return a Canary as this release makes it."""
    obj = made_canary("prod", "web")
    obj["metadata"] |= {
        "uid": "uid-canary",
        "generation": 1,
        "ownerReferences": [OWNER],
        "managedFields": [entry(FIELD_MANAGER, "Update", obj["spec"])],
    }
    return obj


def former(**analysis: Any) -> Json:
    """Return a Canary as the release before made it, from other defaults by keyword."""
    obj = made()
    obj["spec"]["analysis"] = {**FORMER, **analysis}
    obj["metadata"]["labels"][MANAGED_BY_LABEL] = MANAGED_BY
    obj["metadata"]["managedFields"] = [entry(FIELD_MANAGER, "Update", obj["spec"])]
    return obj


def applied(obj: Json, analysis: Json, **spec: Any) -> Json:
    """Return a Canary over which kubectl has applied, on the client's side: merged into it."""
    found = deepcopy(obj)
    wanted = {"targetRef": obj["spec"]["targetRef"], "analysis": analysis, **spec}
    news = {
        name: value
        for name, value in analysis.items()
        if obj["spec"]["analysis"].get(name) != value
    }
    found["spec"] = {**obj["spec"], **spec, "analysis": {**obj["spec"]["analysis"], **analysis}}
    notes = found["metadata"].setdefault("annotations", {})
    notes[LAST_APPLIED] = json.dumps({"kind": "Canary", "spec": wanted})
    written = {**spec, "analysis": news}
    found["metadata"]["managedFields"].append(entry("kubectl-client-side-apply", "Update", written))
    return found


def server_side(obj: Json, analysis: Json, manager: str = "kubectl", **spec: Any) -> Json:
    """Return a Canary over which somebody has applied on the server's side."""
    found = deepcopy(obj)
    wanted = {"targetRef": obj["spec"]["targetRef"], "analysis": analysis, **spec}
    found["spec"] = {**obj["spec"], **spec, "analysis": {**obj["spec"]["analysis"], **analysis}}
    found["metadata"]["managedFields"].append(entry(manager, "Apply", wanted))
    return found


def edited(obj: Json, **analysis: Any) -> Json:
    """Return a Canary that a person has edited in place."""
    found = deepcopy(obj)
    found["spec"]["analysis"] |= analysis
    found["metadata"]["managedFields"].append(
        entry("kubectl-edit", "Update", {"analysis": analysis})
    )
    return found


def noted(obj: Json, **notes: str) -> Json:
    """Return a Canary with annotations of another writer's."""
    found = deepcopy(obj)
    found["metadata"]["annotations"] = {**(found["metadata"].get("annotations") or {}), **notes}
    return found
