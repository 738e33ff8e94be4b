"""What a write to a route means: the splits stay, whoever applies the route.

The analyzer writes the mark only, and this rule writes the weights, so that the fields the team
applied stay owned by the team's field manager.
"""

from dataclasses import dataclass, field

from canary.model.values import Json
from canary.routes.dialect import Dialect
from canary.routes.known import dialect_of
from canary.routes.mark import NO_MARK, Mark, mark_of, marked, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteWrite:
    """One UPDATE of a route; `by_analyzer` tells who may change the splits."""

    old: Json
    new: Json
    by_analyzer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """The route as it is to be stored; the very one that was written where nothing is changed."""

    outcome: str
    route: Json
    warnings: tuple[str, ...] = field(default=())


def admit_route(write: RouteWrite) -> RouteAnswer:
    """Decide one write to a route that has, had or gets splits.

    A mark that cannot be read is another version's, which leads or will: it stays as it is, and so
    do the weights. A copy that was saved in another run, or at another step, is read as what its
    team wrote.
    """
    if text_of(write.new) and not text_of(write.old) and not write.by_analyzer:
        return _without_mark(write.new, "is written from")
    route = _with_standing_mark(write)
    before, asked, dialect = mark_of(write.old), mark_of(route), dialect_of(route)
    if asked is None or dialect is None:
        return RouteAnswer(outcome="no-split", route=route)
    wanted = _wanted(before or NO_MARK, asked) if write.by_analyzer else asked
    if not wanted.splits:
        return RouteAnswer(outcome="no-split", route=route)
    written = dialect.with_traffic(_read(write, route, wanted, dialect), wanted)
    split = {**marked(route, written.mark.dump()), "spec": written.spec}
    return RouteAnswer(outcome="split" if written.mark.splits else "clean", route=split)


def admit_route_creation(new: Json, *, by_analyzer: bool) -> RouteAnswer:
    """Decide the creation of a route that brings a mark along: nobody adds one but the analyzer.

    A copy that was saved in mid-run becomes the route that its team wrote. Should a run be under
    way that it leads to, the analyzer splits it as it hears of it.

    Args:
        new: the route. Its name may not be given yet.
        by_analyzer: whether the analyzer makes it.

    """
    if by_analyzer or not text_of(new):
        return RouteAnswer(outcome="created", route=new)
    return _without_mark(new, "is made from")


def _without_mark(new: Json, how: str) -> RouteAnswer:
    """Take off what no run has put there, and say so."""
    name = new["metadata"].get("name") or new["metadata"].get("generateName", "")
    route = f"{new.get('kind', 'route')} {name}"
    said = f"headgate: {route} {how} a copy that was saved in a run: its split was taken off"
    plain = _as_the_team_wrote(new)
    if plain is None:
        warning = f"{said}, and what its weights were before cannot be read"
        return RouteAnswer(outcome="copied", route=marked(new, ""), warnings=(warning,))
    warning = f"{said}, and its weights are those of before"
    return RouteAnswer(outcome="copied", route=plain, warnings=(warning,))


def _with_standing_mark(write: RouteWrite) -> Json:
    """Return the route with the mark that counts: nobody but the analyzer moves a share.

    Where the shares are those that stand, the mark belongs to the weights beside it: an answer of
    ours that is shown to us again after another webhook, or what somebody has read and puts back.
    """
    old, new = mark_of(write.old), mark_of(write.new)
    same = old and new and new.splits and new.splits in (old.splits, old.staying)
    if write.by_analyzer or same:
        return write.new
    plain = _as_the_team_wrote(write.new)
    return marked(write.new if plain is None else plain, text_of(write.old))


def _as_the_team_wrote(route: Json) -> Json | None:
    """Return a route without a mark that it brings, and its split; None if that cannot be read."""
    if not text_of(route):
        return route
    brought, dialect = mark_of(route), dialect_of(route)
    if brought is None or dialect is None:
        return None
    return {**marked(route, ""), "spec": dialect.without_traffic(route, brought)}


def _read(write: RouteWrite, route: Json, wanted: Mark, dialect: Dialect) -> Json:
    """Return the route from which the team's text is to be read.

    Weights that the analyzer writes under a mark that stands are the outcome of this arithmetic,
    or of that of the version before, which does not know the other targets. Neither is news.
    """
    split = any(dialect.leads_to(route, one.canary) for one in wanted.splits.values())
    repeated = write.by_analyzer and text_of(write.old) == text_of(write.new)
    if not split or not repeated or dialect.with_traffic(route, wanted).spec == route["spec"]:
        return route
    return {**route, "spec": write.old["spec"]}


def _wanted(before: Mark, asked: Mark) -> Mark:
    """Return the splits that the analyzer asks for.

    An analyzer of the version before knows one target: what it writes is about that one, whatever
    else was marked by target, and where it removes the mark everything goes.
    """
    if not asked.splits:
        return before.leaving(*before.splits)
    if not asked.elder or before.elder or set(before.splits) <= set(asked.splits):
        return asked
    [(target, split)] = asked.splits.items()
    return before.having(target, split)
