"""Nothing that was worked out before a change was made may stand in for what it does.

The changes are tried in copies of a process in which all tests have passed once, so that what the
code remembers of them is there.
"""

import gc
import os
from functools import _lru_cache_wrapper
from typing import Final

from canary.model.once import Once

_CHANGED: Final = "MUTANT_UNDER_TEST"
"""By this variable mutmut says which change is tried."""


def forget_if_changed() -> None:
    """Forget all results that are remembered where a change is tried."""
    if not os.environ.get(_CHANGED):
        return
    for one in gc.get_objects():
        if isinstance(one, Once):
            one.clear()
        elif isinstance(one, _lru_cache_wrapper) and _is_ours(one):
            one.cache_clear()


def _is_ours(function: object) -> bool:
    return str(getattr(function, "__module__", "")).startswith("canary.")
