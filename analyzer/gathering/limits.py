"""How much is read at a time, and how long anything of it is waited for."""

from typing import Final

SCRAPES_OF_A_RUN: Final = 16
SCRAPES_AT_ONCE: Final = 64
READING: Final = 5.0
"""Seconds for the pages of one run's pods; what is not in by then comes first in the next."""
LISTS_OF_A_NAMESPACE: Final = 8
LISTS_AT_ONCE: Final = 16
"""The API server's connections are those of the reconciles, too."""
LIST_WAIT: Final = 0.5
"""Seconds that the known pods wait for a list, so that new ones are read with them."""
LIST_DEADLINE: Final = 10.0
SERVER_DEADLINE: Final = 15.0
"""Seconds. The adapters have shorter ones; this is for one that does not keep its own."""
LESSON_DEADLINE: Final = 60.0
TICK: Final = 0.5
"""Seconds between two looks for what is to be asked of the metrics servers."""
MANY_RUNS: Final = 50
"""Runs whose answer is dealt out beside the loop: of a thousand that is a quarter of a second."""
MOST_SAID: Final = 500
"""Characters of an error that nobody expected."""
