"""What a pod template may leave unsaid: the values that mean the same as their absence.

The API server writes some of them into every template that it stores, and another release of it may
write more or fewer. They do not count for a template's identity, so that an upgrade of Kubernetes
makes no new version of anything. The sources are those of Kubernetes 1.36: "set" is what
`pkg/apis/core/v1/defaults.go` and `pkg/apis/apps/v1/zz_generated.defaults.go` write into every
Deployment, "pod" what is written into the pods only, "said" what `k8s.io/api/core/v1/types.go` says
that absence means.

A value whose absence leaves the choice to somebody else stays: `automountServiceAccountToken: true`
(the ServiceAccount's), `preemptionPolicy` (the priority class's), `serviceAccountName: default`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from canary.contract import IGNORED_TEMPLATE_ANNOTATIONS, POD_TEMPLATE_HASH
from canary.model.values import Json

# A path names fields from the template down; a list is passed through, `|` parts alternatives.
_ALL: Final = "spec.containers|initContainers|ephemeralContainers"
_PROBES: Final = f"{_ALL}.livenessProbe|readinessProbe|startupProbe"
_HANDLERS: Final = f"{_ALL}.lifecycle.postStart|preStop"
_VOLUMES: Final = "spec.volumes"
_CLAIM: Final = f"{_VOLUMES}.ephemeral.volumeClaimTemplate"

DEFAULTS: Final[tuple[tuple[str, Any], ...]] = (
    # Set, by SetDefaults_PodSpec.
    ("spec.restartPolicy", "Always"),
    ("spec.dnsPolicy", "ClusterFirst"),
    ("spec.schedulerName", "default-scheduler"),
    ("spec.terminationGracePeriodSeconds", 30),
    ("spec.securityContext", {}),
    # Pod, by SetDefaults_Pod.
    ("spec.enableServiceLinks", True),
    # Said, of PodSpec.
    ("spec.hostNetwork", False),
    ("spec.hostPID", False),
    ("spec.hostIPC", False),
    ("spec.hostUsers", True),
    ("spec.shareProcessNamespace", False),
    ("spec.setHostnameAsFQDN", False),
    # Said, of PodSecurityContext.
    ("spec.securityContext.fsGroupChangePolicy", "Always"),
    ("spec.securityContext.supplementalGroupsPolicy", "Merge"),
    # Said, of TopologySpreadConstraint, Toleration.
    ("spec.topologySpreadConstraints.nodeAffinityPolicy", "Honor"),
    ("spec.topologySpreadConstraints.nodeTaintsPolicy", "Ignore"),
    ("spec.topologySpreadConstraints.minDomains", 1),
    ("spec.tolerations.operator", "Equal"),
    # Set, by SetDefaults_Container.
    (f"{_ALL}.terminationMessagePath", "/dev/termination-log"),
    (f"{_ALL}.terminationMessagePolicy", "File"),
    # Set, by zz_generated.
    (f"{_ALL}.ports.protocol", "TCP"),
    (f"{_ALL}.env.valueFrom.fileKeyRef.optional", False),
    # Set, by SetDefaults_ObjectFieldSelector.
    (f"{_ALL}.env.valueFrom.fieldRef.apiVersion", "v1"),
    (f"{_VOLUMES}.downwardAPI.items.fieldRef.apiVersion", "v1"),
    (f"{_VOLUMES}.projected.sources.downwardAPI.items.fieldRef.apiVersion", "v1"),
    # Said, of ResourceFieldSelector; every stored one has it.
    (f"{_ALL}.env.valueFrom.resourceFieldRef.divisor", "0"),
    (f"{_VOLUMES}.downwardAPI.items.resourceFieldRef.divisor", "0"),
    (f"{_VOLUMES}.projected.sources.downwardAPI.items.resourceFieldRef.divisor", "0"),
    # Set, by SetDefaults_Probe.
    (f"{_PROBES}.timeoutSeconds", 1),
    (f"{_PROBES}.periodSeconds", 10),
    (f"{_PROBES}.successThreshold", 1),
    (f"{_PROBES}.failureThreshold", 3),
    (f"{_PROBES}.initialDelaySeconds", 0),
    # Set, by zz_generated.
    (f"{_PROBES}.grpc.service", ""),
    # Set, by SetDefaults_HTTPGetAction.
    (f"{_PROBES}.httpGet.path", "/"),
    (f"{_PROBES}.httpGet.scheme", "HTTP"),
    (f"{_HANDLERS}.httpGet.path", "/"),
    (f"{_HANDLERS}.httpGet.scheme", "HTTP"),
    # Said, of SecurityContext, VolumeMount.
    (f"{_ALL}.securityContext", {}),
    (f"{_ALL}.securityContext.privileged", False),
    (f"{_ALL}.securityContext.procMount", "Default"),
    (f"{_ALL}.volumeMounts.mountPropagation", "None"),
    (f"{_ALL}.volumeMounts.recursiveReadOnly", "Disabled"),
    (f"{_ALL}.volumeMounts.readOnly", False),
    (f"{_ALL}.resources", {}),
    # Set, by SetDefaults_Volume and those of the sources.
    (f"{_VOLUMES}.emptyDir", {}),
    (f"{_VOLUMES}.secret|configMap|downwardAPI|projected.defaultMode", 420),
    (f"{_VOLUMES}.projected.sources.serviceAccountToken.expirationSeconds", 3600),
    (f"{_VOLUMES}.hostPath.type", ""),
    (f"{_CLAIM}.metadata.creationTimestamp", None),
    (f"{_CLAIM}.spec.volumeMode", "Filesystem"),
    (f"{_CLAIM}.spec.resources", {}),
    # Set, by zz_generated.
    (f"{_VOLUMES}.iscsi.iscsiInterface", "default"),
    (f"{_VOLUMES}.rbd.pool", "rbd"),
    (f"{_VOLUMES}.rbd.user", "admin"),
    (f"{_VOLUMES}.rbd.keyring", "/etc/ceph/keyring"),
    (f"{_VOLUMES}.azureDisk.cachingMode", "ReadWrite"),
    (f"{_VOLUMES}.azureDisk.fsType", "ext4"),
    (f"{_VOLUMES}.azureDisk.readOnly", False),
    (f"{_VOLUMES}.azureDisk.kind", "Shared"),
    (f"{_VOLUMES}.scaleIO.storageMode", "ThinProvisioned"),
    (f"{_VOLUMES}.scaleIO.fsType", "xfs"),
)

COUNTS_EMPTY: Final = (
    # Which one it is of several is told by the name alone, also where the name is a new one.
    f"{_VOLUMES}.*",
    f"{_VOLUMES}.projected.sources.*",
    f"{_ALL}.env.valueFrom.*",
    f"{_PROBES}.*",
    f"{_HANDLERS}.*",
    "spec.topologySpreadConstraints.labelSelector",  # empty selects all pods, absent none
    "spec.securityContext.seLinuxOptions",
    f"{_ALL}.securityContext.seLinuxOptions",  # empty takes the pod's options away
    f"{_CLAIM}.spec.selector",
    f"{_CLAIM}.spec.storageClassName",  # empty asks for no class, absent for the cluster's default
)
"""Fields of a known object that say something even when they are empty; `*` is all of them."""


# --- values that are implied by their neighbours ----------------------------------------------


def _of_image(policy: str, image: str) -> Callable[[Json], None]:
    """Return what drops the pull policy that the API server derives from an image's tag."""

    def drop(obj: Json) -> None:
        if policy in obj and obj[policy] == _pull_policy(str(obj.get(image) or "")):
            del obj[policy]

    return drop


def _pull_policy(image: str) -> str:
    """Return SetDefaults_Container's choice: Always for `latest`, said or meant."""
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _requests(resources: Json) -> None:
    """Drop requests that equal their limit, as SetDefaults_Pod sets them in every pod."""
    limits, requests = resources.get("limits"), resources.get("requests")
    if limits and requests:
        _put(resources, "requests", {k: v for k, v in requests.items() if limits.get(k) != v})


def _service_account(spec: Json) -> None:
    """Drop the deprecated copy of `serviceAccountName` (pkg/apis/core/v1/conversion.go)."""
    if spec.get("serviceAccount") == spec.get("serviceAccountName"):
        spec.pop("serviceAccount", None)


def _metadata(metadata: Json) -> None:
    """Drop what does not count as a change of the version."""
    metadata.pop("creationTimestamp", None)
    _put_without(metadata, "labels", (POD_TEMPLATE_HASH,))
    _put_without(metadata, "annotations", IGNORED_TEMPLATE_ANNOTATIONS)


def _put_without(metadata: Json, key: str, dropped: tuple[str, ...]) -> None:
    found = metadata.get(key)
    if found and not found.keys().isdisjoint(dropped):
        _put(metadata, key, {k: v for k, v in found.items() if k not in dropped})


def _put(obj: Json, key: str, value: Json) -> None:
    if value:
        obj[key] = value
    else:
        del obj[key]


IMPLIED: Final[tuple[tuple[str, Callable[[Json], None]], ...]] = (
    (_ALL, _of_image("imagePullPolicy", "image")),
    (f"{_VOLUMES}.image", _of_image("pullPolicy", "reference")),
    ("spec.containers|initContainers.resources", _requests),
    ("spec", _service_account),
    ("metadata", _metadata),
)


# --- one walk over a template ------------------------------------------------------------------

_NO_DEFAULT: Final = object()


@dataclass(slots=True)
class _Node:
    """What is known of one place in a template, and of the places below it.

    `is_open` is whether a value there has to be looked into.
    """

    default: Any = _NO_DEFAULT
    is_open: bool = False
    counts_empty: bool = False
    all_count_empty: bool = False
    implied: list[Callable[[Json], None]] = field(default_factory=list)
    below: dict[str, "_Node"] = field(default_factory=dict)


def _compile() -> _Node:
    root = _Node()
    for path, default in DEFAULTS:
        for node in _places(root, path):
            node.default = default
    for path, drop in IMPLIED:
        for node in _places(root, path):
            node.implied.append(drop)
            node.is_open = True
    for path in COUNTS_EMPTY:
        for node in _places(root, path.removesuffix(".*")):
            if path.endswith(".*"):
                node.all_count_empty = True
            else:
                node.counts_empty = True
    return root


def _places(root: _Node, path: str) -> list[_Node]:
    found = [root]
    for step in path.split("."):
        for node in found:
            node.is_open = True
        found = [node.below.setdefault(name, _Node()) for node in found for name in step.split("|")]
    return found


def without_defaults(template: Json) -> Json:
    """Return a template without what means the same as its absence.

    The template is left as it is. Fields that the table does not know count, unless they are empty;
    nothing inside them is looked at.

    Args:
        template: `spec.template` of a Deployment or ReplicaSet.

    """
    return _walk(template, _TREE)


def _walk(obj: Json, here: _Node) -> Json:
    below, kept = here.below, {}
    for key, value in obj.items():
        node = below.get(key)
        if node is not None:
            if value and node.is_open:
                value = _below(value, node)  # noqa: PLW2901 - as it counts from here on
            if value == node.default:
                continue
        if value or value == 0 or _counts(value, node, here):
            kept[key] = value
    for drop in here.implied:
        drop(kept)
    return kept


def _below(value: Any, node: _Node) -> Any:
    if type(value) is list:
        return [_walk(one, node) if type(one) is dict else one for one in value]
    return _walk(value, node) if type(value) is dict else value


def _counts(value: Any, node: _Node | None, parent: _Node) -> bool:
    """Tell whether an empty value counts in its place."""
    counts = parent.all_count_empty or (node is not None and node.counts_empty)
    return counts and value is not None


_TREE: Final = _compile()
