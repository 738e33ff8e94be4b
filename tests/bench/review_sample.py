"""A review as the API server sends it: 15 kB, a Deployment of two containers and its history."""

import copy
import json
from typing import Any

Json = dict[str, Any]
BEFORE, AFTER = "registry.example/shop/web:1.41.0", "registry.example/shop/web:1.42.0"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def deployment(image: str = BEFORE, *, name: str = "web") -> Json:
    """Return a Deployment as a team writes it, with what teams have in it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name, "team": "shop", "tier": "frontend"}},
        "spec": {
            "replicas": 3,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name, "team": "shop", "tier": "frontend"},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                },
                "spec": {
                    "serviceAccountName": "default",
                    "containers": [_web(image), _proxy()],
                    "volumes": [
                        {"name": "config", "configMap": {"name": f"{name}-config"}},
                        {"name": "cache", "emptyDir": {}},
                    ],
                },
            },
        },
    }


def _web(image: str) -> Json:
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5}
    return {
        "name": "web",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "DATABASE_HOST", "value": "postgres.shop.svc.cluster.local"},
            {"name": "LOG_LEVEL", "value": "info"},
            {
                "name": "DATABASE_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}},
            },
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "initialDelaySeconds": 10},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/web", "readOnly": True},
            {"name": "cache", "mountPath": "/var/cache/web"},
        ],
    }


def _proxy() -> Json:
    return {
        "name": "proxy",
        "image": "registry.example/infra/proxy:3.2.1",
        "ports": [{"name": "proxy", "containerPort": 9000}],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
    }


def review() -> bytes:
    """Return the review of a new image, applied by kubectl, on the wire."""
    request = {
        "uid": "6f0f4ae6-3f0e-4a5c-9f8c-8f3d0b8d9a11",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "web",
        "namespace": "shop",
        "operation": "UPDATE",
        "userInfo": {"username": "deployer", "groups": ["deployers", "system:authenticated"]},
        "object": stored(deployment(AFTER), generation=8),
        "oldObject": stored(deployment(BEFORE), generation=7),
        "dryRun": False,
        "options": {
            "kind": "UpdateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "kubectl-client-side-apply",
            "fieldValidation": "Strict",
        },
    }
    document = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(document, separators=(",", ":")).encode()


def stored(applied: Json, *, generation: int) -> Json:
    """Return the object as the API server keeps it: defaults, status, who owns which field."""
    obj = copy.deepcopy(applied)
    obj["metadata"] |= {
        "namespace": "shop",
        "uid": "0d7c5c0a-52a3-4f3e-8f0b-3b6f6a2f1c77",
        "resourceVersion": str(180_000 + generation),
        "generation": generation,
        "creationTimestamp": "2026-01-05T09:12:44Z",
        "annotations": {
            "deployment.kubernetes.io/revision": str(generation - 1),
            LAST_APPLIED: json.dumps(applied, separators=(",", ":")) + "\n",
        },
        "managedFields": [_applied_fields(applied), _controller_fields()],
    }
    obj["spec"] |= {
        "progressDeadlineSeconds": 600,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
    }
    _default_pod(obj["spec"]["template"]["spec"])
    obj["status"] = _status(obj["spec"]["replicas"], generation)
    return obj


def _default_pod(pod: Json) -> None:
    pod |= {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "serviceAccount": pod["serviceAccountName"],
        "securityContext": {},
    }
    pod["volumes"][0]["configMap"]["defaultMode"] = 420
    for container in pod["containers"]:
        container |= {
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
        for port in container["ports"]:
            port["protocol"] = "TCP"
        for name in ("readinessProbe", "livenessProbe"):
            if name in container:
                container[name] |= {"timeoutSeconds": 1, "successThreshold": 1}
                container[name] |= {"failureThreshold": 3}


def _applied_fields(applied: Json) -> Json:
    written = {key: applied[key] for key in ("metadata", "spec")}
    fields = fields_of(written)
    fields["f:metadata"]["f:annotations"] = {".": {}, f"f:{LAST_APPLIED}": {}}
    del fields["f:metadata"]["f:name"]
    return _entry("kubectl-client-side-apply", fields)


def _controller_fields() -> Json:
    conditions: Json = {
        f'k:{{"type":"{kind}"}}': {".": {}, "f:lastTransitionTime": {}, "f:status": {}}
        for kind in ("Available", "Progressing")
    }
    return _entry(
        "kube-controller-manager",
        {
            "f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}},
            "f:status": {"f:conditions": {".": {}, **conditions}, "f:readyReplicas": {}},
        },
        subresource="status",
    )


def _entry(manager: str, fields: Json, **more: str) -> Json:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-01-05T09:12:44Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def fields_of(value: Any) -> Json:
    """Return the FieldsV1 of a value: lists of named things by name, other lists as one field."""
    if isinstance(value, dict):
        return {f"f:{key}": fields_of(part) for key, part in value.items()}
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return {}
    keyed = {json.dumps({"name": part["name"]}, separators=(",", ":")): part for part in value}
    return {f"k:{key}": {".": {}, **fields_of(part)} for key, part in keyed.items()}


def _status(replicas: int, generation: int) -> Json:
    def condition(kind: str, reason: str, message: str) -> Json:
        return {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastUpdateTime": "2026-01-05T09:13:02Z",
            "lastTransitionTime": "2026-01-05T09:12:44Z",
        }

    return {
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            condition(
                "Available", "MinimumReplicasAvailable", "Deployment has minimum availability."
            ),
            condition(
                "Progressing",
                "NewReplicaSetAvailable",
                'ReplicaSet "web-6d4cf56db6" has successfully progressed.',
            ),
        ],
    }
