"""Who is next: what cannot wait first, then everybody's namespace in its turn.

No clock, no loop: which key comes next is a function of what joined, and of who is at work.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

URGENT_IN_A_ROW: Final = 8
"""Urgent keys that go before one that is not, where both wait: whoever has urgent ones all the
time slows others down, and stops nobody."""

BESIDE_URGENT: Final = 2
"""Keys that are not urgent and are at work while an urgent one is: each of them has its turns at
the one processor between those of the urgent one."""

_Lane = OrderedDict[Hashable, dict[K, None]]


class Lines(Generic[K]):
    """Keys that wait, in a line for each owner, and one line more for each owner's urgent ones.

    Owners have their turn one after the other, whatever they have in line: of 300 keys of one and
    a key of another, that key is the second to go.

    Args:
        owner_of: whose a key is.
        at_once: keys of one owner that are at work at a time; urgent ones are not held back.

    """

    def __init__(self, owner_of: Callable[[K], Hashable], at_once: int) -> None:
        self._owner_of = owner_of
        self._at_once = at_once
        self._usual: _Lane[K] = OrderedDict()
        self._urgent: _Lane[K] = OrderedDict()
        self._waiting: dict[K, bool] = {}
        self._working: Counter[Hashable] = Counter()
        self._at_work: dict[K, bool] = {}
        self._urgent_at_work = 0
        self._in_a_row = 0

    def join(self, key: K, *, urgent: bool = False) -> None:
        """Have a key wait, once; one that waits already may become urgent, and stays so."""
        if key in self._waiting:
            if self._waiting[key] or not urgent:
                return
            self._leave(self._usual, key)
        self._waiting[key] = urgent
        lane = self._urgent if urgent else self._usual
        lane.setdefault(self._owner_of(key), {})[key] = None

    def take(self, *, urgent_only: bool = False) -> tuple[K, bool] | None:
        """Return who is next, and whether it is urgent; it is at work from now on.

        Args:
            urgent_only: whether nobody else is wanted.

        Returns:
            None where nobody waits who may be taken.

        """
        urgent = next(iter(self._urgent), None)
        usual = None if urgent_only or self._gives_way() else self._next_usual()
        if urgent is None and usual is None:
            return None
        # What only takes urgent keys lets nobody else wait, and counts for nothing.
        others_turn = usual is not None and self._in_a_row >= URGENT_IN_A_ROW
        if urgent is not None and not others_turn:
            self._in_a_row += not urgent_only
            return self._take(self._urgent, urgent, urgent=True), True
        self._in_a_row = 0
        return self._take(self._usual, usual, urgent=False), False

    def done(self, key: K) -> None:
        """Have a key be at work no more."""
        owner = self._owner_of(key)
        self._urgent_at_work -= self._at_work.pop(key)
        self._working[owner] -= 1
        if not self._working[owner]:
            del self._working[owner]

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def has_urgent(self) -> bool:
        """Tell whether an urgent one waits."""
        return bool(self._urgent)

    def _gives_way(self) -> bool:
        """Tell whether what is not urgent waits for what is: a few go on, should that one hang."""
        usual = len(self._at_work) - self._urgent_at_work
        return self._urgent_at_work > 0 and usual >= BESIDE_URGENT

    def _next_usual(self) -> Hashable | None:
        """Return whose turn it is: those at their bound are as few as there are workers."""
        return next((it for it in self._usual if self._working[it] < self._at_once), None)

    def _take(self, lane: _Lane[K], owner: Hashable, *, urgent: bool) -> K:
        key = next(iter(lane[owner]))
        self._leave(lane, key)
        if owner in lane:
            lane.move_to_end(owner)
        del self._waiting[key]
        self._working[owner] += 1
        self._at_work[key] = urgent
        self._urgent_at_work += urgent
        return key

    def _leave(self, lane: _Lane[K], key: K) -> None:
        owner = self._owner_of(key)
        del lane[owner][key]
        if not lane[owner]:
            del lane[owner]
