"""Routes that carry a target's split and that nobody grants to Headgate any more.

They cannot be listed, so that by what is listed there are none, and their share would be forgotten:
the canary would go, and what they send it would be lost. By their marks it is known that they are
there, for as long as this process has heard of them.
"""

from analyzer.routers.kinds import WATCHED, Kinds, granted_by
from analyzer.routers.let_in import Places
from canary.model.values import Key
from runtime.errors import Forbidden

_FORBIDDEN = 403


class Withheld:
    """Finds them.

    Args:
        kinds: lists routes.
        marked: tells which routes carry a target's split, as far as it is heard of.

    """

    def __init__(self, kinds: Kinds, marked: Places) -> None:
        self._kinds = kinds
        self._marked = marked

    async def of(self, key: Key, *, afresh: bool = False) -> tuple[str, ...]:
        """Say which routes of a target's own namespace they are, and what to do.

        Args:
            key: the target.
            afresh: whether to ask for what is granted this moment.

        Raises:
            ApiError: it cannot be told.

        """
        named = dict[str, list[str]]()
        for kind, namespace, name in self._marked(key):
            if namespace == key.namespace and kind in WATCHED:
                named.setdefault(kind, []).append(name)
        denied = [
            kind
            for kind in sorted(named)
            if await self._kinds.is_denied(kind, key.namespace, afresh=afresh)
        ]
        return tuple(
            f"{kind} {', '.join(sorted(named[kind]))}: Headgate has no right to "
            f"{WATCHED[kind].plural} any more; {granted_by(kind)}"
            for kind in denied
        )

    async def refuse(self, key: Key) -> None:
        """Refuse to take a target's canary out of all routes, where it would stay in some.

        Raises:
            Forbidden: there are such routes.
            ApiError: it cannot be told.

        """
        if said := await self.of(key, afresh=True):
            raise Forbidden(_FORBIDDEN, "Forbidden", f"a share stays on {'; '.join(said)}")
