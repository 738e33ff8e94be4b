"""Has clients of a mesh treat a canary as its stable, before it has traffic by a VirtualService."""

from collections.abc import Sequence

from analyzer.ports import Cluster
from canary.model.values import Json
from canary.objects.desired import owner_reference
from canary.objects.ownership import Ownership, owned_by
from canary.routes.istio_policies import like_the_stable_s
from canary.routes.mark import TargetSplit
from runtime.errors import NotFound
from runtime.resources import DESTINATIONRULES, SERVICES
from runtime.writes import applied, stored


async def treat_alike(
    cluster: Cluster, namespace: str, split: TargetSplit, routes: Sequence[Json]
) -> None:
    """Make the DestinationRule of a canary's host as the team's is of the stable's.

    It belongs to the canary's Service and goes with it.

    Args:
        cluster: the API server.
        namespace: the target's.
        split: the target's.
        routes: the VirtualServices that are to be split.

    Raises:
        ApiError: it could not be read or written.

    """
    if not routes or split.traffic.is_nothing:
        return
    try:
        rules = (await cluster.list(DESTINATIONRULES, namespace)).items
    except NotFound:
        return
    if not rules or (service := await stored(cluster, SERVICES, namespace, split.canary)) is None:
        return
    whole = {"apiVersion": "v1", "kind": SERVICES.kind, **service}
    theirs = [rule for rule in rules if owned_by(rule, whole) is Ownership.STRANGERS]
    wanted = like_the_stable_s(theirs, routes, split, owner_reference(whole))
    if wanted is None:
        return
    found = await stored(cluster, DESTINATIONRULES, namespace, split.canary)
    if found is None or owned_by(found, whole) is not Ownership.STRANGERS:
        await applied(cluster, DESTINATIONRULES, wanted, found)
