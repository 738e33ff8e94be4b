"""Writes to a target that somebody else's webhook or policy changes on the way: see ADR 58."""

from collections.abc import Callable
from typing import Final

import structlog

from analyzer.loop.following import key_of
from analyzer.ports import Cluster
from canary.contract import (
    COMMANDS,
    HOLD,
    HOLD_UNKNOWN,
    PROMOTING,
    REQUESTED_BY,
    TEMPLATES_POLICY,
)
from canary.model.values import Json
from canary.objects.marks import marked
from canary.rules.actions import Pause
from runtime.errors import Forbidden
from runtime.resources import DEPLOYMENTS
from runtime.writes import Overtaken, Still, patched

log = structlog.get_logger("analyzer")
_GONE: Final = dict.fromkeys((PROMOTING, REQUESTED_BY, *sorted(COMMANDS)))
_HELD: Final = marked({HOLD: HOLD_UNKNOWN, **_GONE}, Pause.SET)
"""As the webhook holds what it could not look at; which version that is, is seen next.

Nobody has said a word of that one: what people asked for was another."""


async def written(
    cluster: Cluster,
    target: Json,
    patch_for: Callable[[Json], Json | None],
    *,
    subresource: str = "",
    still: Still,
) -> Json:
    """Merge a patch into a target; where another template would roll out by that, hold it instead.

    Args:
        cluster: the API server.
        target: the Deployment as it was read.
        patch_for: gives the patch, as for `runtime.writes.patched`.
        subresource: such as "status".
        still: whether a newer version may be written to.

    Returns:
        The Deployment as it is stored then.

    Raises:
        Overtaken: it is another one meanwhile, or is held with another template by this call.

    """
    try:
        return await patched(
            cluster, DEPLOYMENTS, target, patch_for, subresource=subresource, still=still
        )
    except Forbidden as denied:
        if TEMPLATES_POLICY not in denied.message:
            raise
        where = str(key_of(target))
        log.warning("template changed by another webhook", target=where, why=denied.message)
        await patched(cluster, DEPLOYMENTS, target, lambda _: _HELD, still=still)
        raise Overtaken(f"{where} is held with another template") from denied
