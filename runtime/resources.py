"""The kinds of objects that Headgate reads or writes, and where the API server keeps them."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from runtime.errors import NotFound


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as the API server serves it.

    Args:
        group: API group, "" for the core group.
        version: API version such as "v1".
        plural: last part of the path, such as "deployments".
        kind: such as "Deployment".
        namespaced: False for kinds that live beside namespaces.
        optional: whether the cluster may lack the kind, or Headgate the right to it, for good.

    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    optional: bool = False

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """Return the path of the collection, of one object, or of its subresource.

        Args:
            namespace: None or "" for all namespaces; ignored for kinds without one.
            name: object, "" for the collection.
            subresource: such as "status", "" for the object itself.

        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)

    def path_of(self, namespace: str | None, name: str) -> str:
        """Return the path of one object whose name somebody has written.

        Args:
            namespace: None or "" for kinds without one.
            name: of the object.

        Raises:
            NotFound: nothing is called so, and the path would be that of something else.

        """
        if {namespace, name} & {".", ".."} or not name:
            raise NotFound(0, "NotFound", f"no {self.kind} can be called {name!r}")
        return self.path(namespace, name)


@dataclass(frozen=True, slots=True)
class ListResult:
    """What a list call found, and the version from which a watch goes on."""

    items: list[dict[str, Any]]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change: ADDED, MODIFIED, DELETED, or BOOKMARK (only a newer resourceVersion)."""

    type: str
    object: dict[str, Any]


NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
ENDPOINTSLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
NETWORKPOLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTIONBUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
EVENTS: Final = Resource("", "v1", "events", "Event")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REPLICASETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
HTTPROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPCROUTES: Final = Resource(
    "gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute", optional=True
)
REFERENCEGRANTS: Final = Resource(
    "gateway.networking.k8s.io", "v1beta1", "referencegrants", "ReferenceGrant", optional=True
)
LINKERD_HTTPROUTES: Final = Resource(
    "policy.linkerd.io", "v1beta3", "httproutes", "HTTPRoute", optional=True
)
"""Linkerd's own, from before it followed those of the Gateway API: read to be named."""
INGRESSES: Final = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", optional=True)
VIRTUALSERVICES: Final = Resource(
    "networking.istio.io", "v1", "virtualservices", "VirtualService", optional=True
)
DESTINATIONRULES: Final = Resource(
    "networking.istio.io", "v1", "destinationrules", "DestinationRule", optional=True
)
HTTPPROXIES: Final = Resource("projectcontour.io", "v1", "httpproxies", "HTTPProxy", optional=True)
INGRESSROUTES: Final = Resource(
    "traefik.io", "v1alpha1", "ingressroutes", "IngressRoute", optional=True
)
TRAEFIKSERVICES: Final = Resource(
    "traefik.io", "v1alpha1", "traefikservices", "TraefikService", optional=True
)
CANARIES: Final = Resource("flagger.app", "v1beta1", "canaries", "Canary")
METRICTEMPLATES: Final = Resource("flagger.app", "v1beta1", "metrictemplates", "MetricTemplate")
ALERTPROVIDERS: Final = Resource("flagger.app", "v1beta1", "alertproviders", "AlertProvider")
MUTATINGWEBHOOKCONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATINGWEBHOOKCONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
ADMISSIONPOLICIES: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
ADMISSIONPOLICYBINDINGS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
PRIORITYCLASSES: Final = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False
)
CRDS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
CLUSTERROLES: Final = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
CLUSTERROLEBINDINGS: Final = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
