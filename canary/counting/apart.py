"""Whether a query for the stable leaves the canary's pods out.

A template is rendered for either version by its name. `web-[0-9a-z]+(-[0-9a-z]+)?` names the pods
of `web` alone; `web-.*` those of `web-canary` as well, and then the stable's value is the canary's
too.
"""

import re
from functools import lru_cache
from typing import Final

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.per_pod import selectors_of
from canary.counting.selectors import matcher_of
from canary.counting.series import POD_LABELS, Matcher

_POD: Final = "-5d9f7c8b9d-x2x4z"
"""What a Deployment's pod has behind the Deployment's name."""
_ENDINGS: Final = ("", _POD, "_80", "-80", ":80", ".80", "/80")
"""What other names have behind it: of backends, clusters, upstreams."""
_PLAIN: Final = re.compile(r"[\w/:@-]*")


@lru_cache(maxsize=256)
def tells_apart(canary: str, stable: str, *, workload: str, target: str) -> bool:
    """Tell whether the stable's query reads nothing of the canary's, as far as names can tell.

    Found out once per text: every look at a run asks for the same ones.

    Args:
        canary: the query for the canary.
        stable: the same for the stable.
        workload: the canary's name.
        target: the stable's.

    Returns:
        False also where the queries are the same, or cannot be read.

    """
    try:
        own = _matchers(stable) - _matchers(canary)
        return bool(own) and not any(_takes(one, workload, target) for one in own)
    except NotCounts:
        return False


def _matchers(query: str) -> set[Matcher]:
    vectors = (vector for vector, _ in selectors_of(parsed(query)))
    return {matcher_of(one) for vector in vectors for one in vector.matchers.matchers}


def _takes(matcher: Matcher, workload: str, target: str) -> bool:
    """Tell whether a condition on the stable's name holds for the canary's, or its pods'."""
    before = matcher.value.partition(target)[0]
    if matcher.op not in {"=", "=~"} or not _PLAIN.fullmatch(before):
        return True  # What only excludes names leaves everything else in.
    endings = (_POD,) if matcher.label in POD_LABELS else _ENDINGS
    return any(matcher.accepts(f"{before}{workload}{ending}") for ending in endings)
