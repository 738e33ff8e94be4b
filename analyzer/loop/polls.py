"""How soon a target is looked at again of which the last looks have found nothing to do.

The watches tell of nearly all that is waited for: pods that are ready change their Deployment. What
they do not tell, such as why a pod does not become ready, is looked for. Of 300 releases that begin
at once each would be looked at once a second otherwise, and those that have something to do would
wait for their turn behind the others.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from canary.model.values import Key
from canary.rules.actions import Decision
from canary.rules.context import look_again_in

_LONGER: Final = 1.5
LONGEST: Final = 3.0
"""Times the usual delay that the longest one is."""


@dataclass(frozen=True, slots=True)
class Polls:
    """Counts the looks at each target that have found nothing to do, one after the other."""

    _in_a_row: dict[Key, int] = field(default_factory=dict)

    def after(self, key: Key, decision: Decision, poll: timedelta) -> timedelta | None:
        """Return when a target is to be looked at again, None where only a change calls for it.

        Args:
            key: which.
            decision: of the look at it.
            poll: the usual delay where something is waited for.

        """
        wanted = look_again_in(decision)
        if wanted != poll or decision.actions or decision.asks:
            self.forget(key)
            return wanted
        before = self._in_a_row.get(key, 0)
        self._in_a_row[key] = before + 1
        return min(poll * _LONGER ** min(before, 9), poll * LONGEST)

    def forget(self, key: Key) -> None:
        """Have the next wait for a target begin with the usual delay."""
        self._in_a_row.pop(key, None)
