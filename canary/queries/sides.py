"""A team's template for both sides: rendered as it was meant, or refused with what to write.

What its names cannot mean in another way is rendered rightly (`canary.counting.mending`). A query
that plainly does not read the canary is refused before there is one, for whatever it gave would be
judged as if it did. One of which nothing can be told is asked, and that it is not known is said.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from canary.counting.apart import tells_apart
from canary.counting.mending import MARK, for_canary, for_stable
from canary.counting.versions import Attribution, Reads, Version, Versions, read_by
from canary.queries.templates import TemplateError, TemplateValues, render

_UNKNOWN: Final = (
    "it is not known which version its query reads: nothing in it names the canary, as "
    "{{ target }} would"
)
_OPEN_ENDED: Final = re.compile(MARK + r"[-_./:]*(?:\.?[*+?{]|%|\[|\\|\()")
"""The stable's name with what may fit any ending of it, as in patterns and wildcards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A query for the canary and for the stable.

    `apart` is whether the stable's reads nothing of the canary's, `note` what is not known.
    """

    canary: str
    stable: str
    apart: bool
    note: str = ""


def versions_of(canary: TemplateValues, stable: TemplateValues) -> Versions:
    """Return what both versions are called."""
    return Versions(
        namespace=canary.namespace,
        canary=Version(workload=canary.workload, service=canary.backend),
        stable=Version(workload=stable.workload, service=stable.backend),
    )


def sides(template: str, canary: TemplateValues, stable: TemplateValues) -> Rendered:
    """Render a template for both versions.

    Args:
        template: the query, with its actions.
        canary: what they stand for, for the canary.
        stable: the same for the stable.

    Raises:
        TemplateError: it cannot be rendered, or does not read the canary.

    """
    versions = versions_of(canary, stable)
    render(template, canary)  # A message about it speaks of what is really there.
    ours = for_canary(render(template, replace(canary, baseline=MARK)), versions)
    theirs = for_stable(render(template, stable), versions)
    found = read_by(ours, versions)
    if found.reads not in {Reads.CANARY, Reads.UNKNOWN}:
        raise TemplateError(_refusal(found, versions))
    names = {"workload": canary.workload, "target": stable.workload}
    apart = read_by(theirs, versions).reads is Reads.STABLE or tells_apart(ours, theirs, **names)
    unknown = found.reads is Reads.UNKNOWN
    return Rendered(canary=ours, stable=theirs, apart=apart, note=_UNKNOWN if unknown else "")


def unread_sides(template: str, canary: TemplateValues, stable: TemplateValues) -> Rendered:
    """Render a template for both versions in a language of which nothing is known.

    Which version it reads is the team's to write: with `{{ target }}` each text has the name of its
    own version. A text that is the same for both is asked, and that nothing is known is said. What
    the stable fails excuses the canary only where its text cannot fit the canary's name too.

    Args:
        template: the query, with its actions.
        canary: what they stand for, for the canary.
        stable: the same for the stable.

    Raises:
        TemplateError: it cannot be rendered.

    """
    ours = render(template, canary, promql=False)
    theirs = render(template, stable, promql=False)
    marked = replace(stable, workload=MARK, backend=MARK)
    fits_more = _OPEN_ENDED.search(render(template, marked, promql=False))
    told = ours != theirs
    return Rendered(
        canary=ours,
        stable=theirs,
        apart=told and fits_more is None,
        note="" if told else _UNKNOWN,
    )


def _refusal(found: Attribution, versions: Versions) -> str:
    canary, stable = versions.canary.workload, versions.stable.workload
    what = {
        Reads.STABLE: f"names {stable}, which is the stable here, and not the canary",
        Reads.BOTH: f"fits both versions, {stable} and {canary}",
        Reads.NEITHER: f"fits neither version, {stable} nor {canary}",
    }[found.reads]
    return (
        f"its query does not read the canary: {found.condition} {what}; write {{{{ target }}}} "
        f"where it means the canary, which is {canary} here, as in "
        'pod=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?" or app="{{ target }}", '
        "{{ service }}-canary for the canary's Service, and {{ baseline }} for the stable"
    )
