"""Kinds of routes that Flagger splits and Headgate does not: what they are called, and what to use.

Nothing is called supported that no controller was seen to take (docs/routers.md).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_BY_PODS: Final = "a share by the number of pods, with provider kubernetes, needs no route"


@dataclass(frozen=True, slots=True)
class Refused:
    """A way of splitting that is not taken.

    `kinds` is what a reader knows it by, `groups` are the API groups of its objects, `providers`
    its values of `spec.provider`, `reference` the field of a Canary that names such an object, and
    `instead` is the nearest way.
    """

    kinds: str
    groups: tuple[str, ...]
    providers: tuple[str, ...]
    instead: str
    reference: str = ""


REFUSED: Final = (
    Refused(
        "TrafficSplits of SMI",
        ("split.smi-spec.io",),
        ("smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3", "osm"),
        "meshes take HTTPRoutes whose parent is the Service",
    ),
    Refused(
        "HTTPRoutes of policy.linkerd.io",
        ("policy.linkerd.io",),
        (),
        "Linkerd follows those of gateway.networking.k8s.io from 2.14 on",
    ),
    Refused(
        "RouteGroups and Ingresses of Skipper",
        ("zalando.org",),
        ("skipper",),
        f"Skipper takes no HTTPRoutes yet; {_BY_PODS}",
    ),
    Refused(
        "ApisixRoutes",
        ("apisix.apache.org",),
        ("apisix",),
        "APISIX takes HTTPRoutes too, so give the Service one",
        reference="routeRef",
    ),
    Refused(
        "Upstreams and RouteTables of Gloo",
        ("gloo.solo.io", "gateway.solo.io"),
        ("gloo",),
        "Gloo takes HTTPRoutes too, so give the Service one",
        reference="upstreamRef",
    ),
    Refused(
        "TrafficRoutes and MeshHTTPRoutes of Kuma",
        ("kuma.io",),
        ("kuma",),
        "Kuma takes HTTPRoutes whose parent is the Service",
    ),
    Refused(
        "VirtualRouters of App Mesh",
        ("appmesh.k8s.aws",),
        ("appmesh", "appmesh:v1beta2"),
        f"give the Service an HTTPRoute of a gateway; {_BY_PODS}",
    ),
    Refused(
        "Services of Knative",
        ("serving.knative.dev",),
        ("knative",),
        "Knative splits between its own revisions, by spec.traffic; a Deployment of one's own can "
        "have an HTTPRoute",
    ),
)


def refused_provider(provider: str) -> str:
    """Say why a value of `spec.provider` is not followed, and what to do; "" for one not known.

    Args:
        provider: as the Canary has it.

    """
    found = next((it for it in REFUSED if provider in it.providers), None)
    return "" if found is None else f"{found.kinds} are not split: {found.instead}"


def refused_reference(name: str) -> str:
    """Say why a field that names an object of such a kind is not followed; "" for another.

    Args:
        name: of the field, under `spec`.

    """
    found = next((it for it in REFUSED if it.reference == name), None)
    return "" if found is None else f"{found.kinds} are not split: {found.instead}"


def refused_here(groups: Collection[str]) -> tuple[str, ...]:
    """Say which of these kinds a cluster has, and what to use in their place.

    Args:
        groups: names of the API groups that it serves.

    """
    found = (it for it in REFUSED if any(group in groups for group in it.groups))
    return tuple(f"{it.kinds} are not split: {it.instead}" for it in found)
