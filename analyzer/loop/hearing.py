"""What the watches tell beside the index: reads of runs that need not go to the API server.

Of ReplicaSets, pods, Services, endpoints and grants nothing is kept but the lists that runs ask
for, and those for as long as they do (`runtime.kept_lists`): what rests costs nothing.
"""

from typing import Final

from analyzer.loop.index import ClusterIndex
from canary.model.values import Json
from runtime.heard import Heard
from runtime.informer import Informer, ListWatch
from runtime.kept import Packed
from runtime.kept_lists import KeptLists
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    METRICTEMPLATES,
    PODS,
    REFERENCEGRANTS,
    REPLICASETS,
    SERVICES,
)
from runtime.tail import Tail

_MIB: Final = 2**20
PODS_TOTAL: Final = 16 * _MIB
"""Bytes of all pods of runs: some 10,000 usual ones."""
REPLICASETS_TOTAL: Final = 16 * _MIB
SERVICES_TOTAL: Final = 8 * _MIB
ENDPOINTSLICES_TOTAL: Final = 4 * _MIB
GRANTS_TOTAL: Final = 2 * _MIB
ROUTES_TOTAL: Final = 8 * _MIB
"""Bytes of all routes of one kind in namespaces with runs."""
TEMPLATES_TOTAL: Final = 4 * _MIB
_OF_CONTAINER: Final = ("name", "ports")


def hear(cluster: ListWatch, index: ClusterIndex) -> Heard:
    """Return what is known without asking, and have the index run the watches that it takes.

    Args:
        cluster: the API server.
        index: the informers that there are; none of them runs yet.

    """
    lists = KeptLists(REPLICASETS_TOTAL, without_owners_of_fields)
    index.replica_sets = replica_sets = Tail(cluster, REPLICASETS, lists)
    tails = (
        replica_sets,
        Tail(cluster, PODS, KeptLists(PODS_TOTAL, essence_of_pod)),
        Tail(cluster, SERVICES, KeptLists(SERVICES_TOTAL, without_owners_of_fields)),
        Tail(cluster, ENDPOINTSLICES, KeptLists(ENDPOINTSLICES_TOTAL, without_owners_of_fields)),
        Tail(cluster, REFERENCEGRANTS, KeptLists(GRANTS_TOTAL, without_owners_of_fields)),
    )
    for routes in index.routes:
        routes.lists = KeptLists(ROUTES_TOTAL, without_owners_of_fields, by_words=True)
    templates = Informer(cluster, METRICTEMPLATES, kept=Packed(TEMPLATES_TOTAL))
    index.beside = (templates, *tails)
    return Heard(
        stores={
            DEPLOYMENTS: index.targets,
            CANARIES: index.canaries,
            METRICTEMPLATES: templates,
        },
        lists={it.resource: it for it in (*tails, *index.routes)},
    )


def without_owners_of_fields(obj: Json) -> Json:
    """Return an object without who owns its fields; the object itself stays as it is."""
    metadata = {name: it for name, it in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def essence_of_pod(pod: Json) -> Json:
    """Return what is kept of a pod: all but what its containers are made of."""
    spec = pod.get("spec") or {}
    containers = [
        {name: one[name] for name in _OF_CONTAINER if name in one}
        for one in spec.get("containers") or ()
    ]
    return {**without_owners_of_fields(pod), "spec": {"containers": containers}}
