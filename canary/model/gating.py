"""What a run remembers of a gate that it waits at: since when, and who has opened it."""

from dataclasses import dataclass
from datetime import datetime

from canary.model.strategy import HookType


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The gate that a run has come to and has not passed.

    `since` is when it came there. `told` is whether it was said that the run waits: one that opens
    at once is not worth a word. `ready` is whether all that was judged last has passed, so that
    only the gate is in the way. `faults` are its hooks that gave no answer when they were asked
    last.
    """

    kind: HookType
    since: datetime
    told: bool = False
    ready: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's word that opens one gate, once: the hook that it stands for, and who gave it."""

    hook: str
    by: str
