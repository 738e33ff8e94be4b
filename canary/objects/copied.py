"""What the canary's objects carry of the target's and of its Service's, and what they do not.

Everything that a team writes goes along: its own labels, hints for gateways and scrapers. What is
left out is somebody's mark of ownership or order to act on this one object: on a second object it
would be a lie, and a tool that believes it deletes, changes or publishes the canary. Each kind of
object carries from its own kind only, so that who may read the copy could read the original.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from canary.model.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Labels and annotations that stay behind, and why.

    `key` is a whole key, or one with a star at its end: `domain/*` is every key of the domain and
    of the domains under it, any other star stands for the rest of the key.
    """

    key: str
    reason: str

    def covers(self, key: str) -> bool:
        """Tell whether a label or annotation is meant."""
        domain = key.rpartition("/")[0]
        if self.key.endswith("/*"):
            named = self.key.removesuffix("/*")
            return domain == named or domain.endswith(f".{named}")
        return key.startswith(self.key[:-1]) if self.key.endswith("*") else key == self.key


def _left_out(reason: str, *keys: str) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(key=key, reason=reason) for key in keys)


LEFT_OUT: Final = (
    *_left_out("our own: each object gets its own", "headgate.dev/*"),
    *_left_out("the canary is made by Headgate, and says so", "app.kubernetes.io/managed-by"),
    *_left_out(
        "kubectl's memory of the whole manifest, with all that stands in it",
        "kubectl.kubernetes.io/*",
    ),
    *_left_out("the Deployment controller's own", "deployment.kubernetes.io/*"),
    *_left_out("tells the history of the target's rollouts", "kubernetes.io/change-cause"),
    *_left_out("`kubectl apply --prune` deletes by it", "applyset.kubernetes.io/*"),
    *_left_out("the addon manager deletes by it", "addonmanager.kubernetes.io/*"),
    *_left_out("the mark of a Helm release or chart", "helm.sh/*"),
    *_left_out("Flux's mark of ownership, and its orders", "fluxcd.io/*"),
    *_left_out("Argo CD's mark of ownership, and its orders", "argoproj.io/*"),
    *_left_out(
        "Argo CD takes what carries it for part of the app, and compares and prunes it",
        "app.kubernetes.io/instance",
    ),
    *_left_out(
        "marks of ownership of kustomize, kpt and Config Sync",
        "config.k8s.io/*",
        "config.kubernetes.io/*",
        "cli-utils.sigs.k8s.io/*",
        "kpt.dev/*",
    ),
    *_left_out("kapp deletes by it", "kapp.k14s.io/*"),
    *_left_out("Rancher's and Fleet's: they delete by it, and write it themselves", "cattle.io/*"),
    *_left_out("the Operator Lifecycle Manager collects by it", "olm.*", "operators.coreos.com/*"),
    *_left_out(
        "marks of ownership of Crossplane, kro, KubeVela and operators",
        "crossplane.io/*",
        "kro.run/*",
        "oam.dev/*",
        "operator-sdk/*",
    ),
    *_left_out("orders of Pulumi", "pulumi.com/*"),
    *_left_out("the mark of a werf release", "werf.io/*"),
    *_left_out("Skaffold and Tilt delete by it", "skaffold.dev/*", "tilt.dev/*"),
    *_left_out("Spinnaker's mark of ownership", "spinnaker.io/*"),
    *_left_out("what a backup or restore was, or is to be", "velero.io/*"),
    *_left_out("Kyverno's record of its own changes", "policies.kyverno.io/*"),
    *_left_out("Keel would write other images into the canary", "keel.sh/*"),
    *_left_out("Reloader would restart the canary in mid-run", "stakater.com/*"),
    *_left_out("Wave would restart the canary in mid-run", "wave.pusher.com/*"),
    *_left_out("would scale the canary apart from the target", "downscaler/*"),
    *_left_out("would delete the canary in its own time", "janitor/*"),
    *_left_out("would make autoscalers for the canary", "goldilocks.fairwinds.com/*"),
    *_left_out(
        "OpenShift: image triggers, and certificates and routes for this one name", "openshift.io/*"
    ),
    *_left_out(
        "Google Cloud: load balancers, and what Autopilot writes", "cloud.google.com/*", "gke.io/*"
    ),
    *_left_out(
        "names in public DNS: two Services under one name",
        "external-dns.alpha.kubernetes.io/*",
    ),
    *_left_out(
        "orders to the cloud's load balancers",
        "service.beta.kubernetes.io/*",
        "service.kubernetes.io/aws-*",
        "service.kubernetes.io/azure-*",
        "service.kubernetes.io/ibm-*",
        "service.kubernetes.io/load-balancer-*",
        "service.kubernetes.io/qcloud-*",
        "kubernetes.digitalocean.com/*",
        "load-balancer.hetzner.cloud/*",
        "loadbalancer.openstack.org/*",
        "oraclecloud.com/*",
    ),
    *_left_out(
        "addresses of load balancers on own hardware",
        "metallb.universe.tf/*",
        "metallb.io/*",
        "kube-vip.io/*",
        "lbipam.cilium.io/*",
    ),
    *_left_out(
        "would join the canary with Services of other clusters",
        "service.cilium.io/*",
        "io.cilium/*",
        "mirror.linkerd.io/*",
        "consul.hashicorp.com/*",
    ),
    *_left_out(
        "would publish the canary beside the split", "getambassador.io/*", "tailscale.com/*"
    ),
)
"""Labels and annotations that the canary's objects do not carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceField:
    """A field of a Service's spec: whether the canary's Service has it, and why."""

    name: str
    carried: bool
    reason: str


SERVICE_FIELDS: Final = (
    ServiceField(
        name="ports",
        carried=True,
        reason="every port, with name, protocol, `targetPort` and `appProtocol`; no `nodePort`",
    ),
    ServiceField(
        name="publishNotReadyAddresses",
        carried=True,
        reason="pods that serve before they are ready, as the stable's do",
    ),
    ServiceField(
        name="sessionAffinity", carried=True, reason="the app may rest on it; within the canary"
    ),
    ServiceField(name="sessionAffinityConfig", carried=True, reason="how long that lasts"),
    ServiceField(name="ipFamilies", carried=True, reason="reached the same way"),
    ServiceField(name="ipFamilyPolicy", carried=True, reason="reached the same way"),
    ServiceField(name="trafficDistribution", carried=True, reason="a preference, never a refusal"),
    ServiceField(
        name="internalTrafficPolicy",
        carried=False,
        reason="`Local` drops requests on nodes without a pod, and canaries are few",
    ),
    ServiceField(name="selector", carried=False, reason="the canary's own pods"),
    ServiceField(
        name="type", carried=False, reason="always ClusterIP: the split is the only way in"
    ),
    ServiceField(name="clusterIP", carried=False, reason="an address is one Service's"),
    ServiceField(name="clusterIPs", carried=False, reason="an address is one Service's"),
    ServiceField(name="externalIPs", carried=False, reason="an address is one Service's"),
    ServiceField(name="externalName", carried=False, reason="names no pods"),
    ServiceField(name="externalTrafficPolicy", carried=False, reason="nothing comes from outside"),
    ServiceField(name="healthCheckNodePort", carried=False, reason="no load balancer asks"),
    ServiceField(name="loadBalancerIP", carried=False, reason="there is no load balancer"),
    ServiceField(name="loadBalancerClass", carried=False, reason="there is no load balancer"),
    ServiceField(
        name="loadBalancerSourceRanges", carried=False, reason="there is no load balancer"
    ),
    ServiceField(
        name="allocateLoadBalancerNodePorts", carried=False, reason="there is no load balancer"
    ),
)
"""Every field of a Service's spec. One that is not known here is not carried."""

_CARRIED_BY_VALUE: Final = frozenset(
    one.name for one in SERVICE_FIELDS if one.carried and one.name != "ports"
)
_OF_A_NODE: Final = "nodePort"


def carried(notes: Mapping[str, str] | None) -> dict[str, str]:
    """Return the labels or annotations of an object that the canary's object of its kind carries.

    Args:
        notes: `metadata.labels` or `metadata.annotations`; None where there are none.

    """
    return {
        key: value
        for key, value in (notes or {}).items()
        if not any(one.covers(key) for one in LEFT_OUT)
    }


def carried_service_fields(service: Json) -> Json:
    """Return the part of a Service's spec that the canary's Service has too, ports included."""
    spec = service["spec"]
    fields = {name: value for name, value in spec.items() if name in _CARRIED_BY_VALUE}
    ports = [
        {name: value for name, value in port.items() if name != _OF_A_NODE}
        for port in spec.get("ports") or ()
    ]
    return {**fields, "ports": ports}
