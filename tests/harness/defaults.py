"""What the API server fills in, as far as it makes a difference to Headgate."""

from canary.model.values import Json
from runtime.resources import DEPLOYMENTS, GRPCROUTES, HTTPROUTES, Resource

_DEPLOYMENT: Json = {
    "replicas": 1,
    "revisionHistoryLimit": 10,
    "progressDeadlineSeconds": 600,
    "strategy": {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    },
}
_REF: Json = {"group": "", "kind": "Service", "weight": 1}


def defaulted(resource: Resource, obj: Json) -> Json:
    """Return an object with the fields that nobody has named; `paused: false` is left out."""
    if resource == DEPLOYMENTS:
        spec = {**_DEPLOYMENT, **{k: v for k, v in obj["spec"].items() if v is not None}}
        if not spec.get("paused"):
            spec.pop("paused", None)
        return {**obj, "spec": spec}
    if resource in {HTTPROUTES, GRPCROUTES}:
        rules = [
            {**rule, "backendRefs": [{**_REF, **ref} for ref in rule.get("backendRefs") or ()]}
            for rule in obj["spec"].get("rules") or ()
        ]
        return {**obj, "spec": {**obj["spec"], "rules": rules}}
    return obj
