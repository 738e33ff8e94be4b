"""What the informers have heard last, by key: see `analyzer.loop.known.Index`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from analyzer.loop.abroad import Abroad
from analyzer.loop.absences import Absences
from analyzer.loop.both_ways import Route
from analyzer.loop.echoes import Echoes
from analyzer.loop.records import target_of
from analyzer.loop.splits import Splits
from canary.contract import (
    AUTO_LABEL,
    HOLD,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    NAMESPACE_UNMANAGED,
    PROMOTING,
)
from canary.model.values import Json, Key
from canary.objects.flaggers import Sign, at_work, sign_of
from canary.objects.workloads import annotations
from canary.routes.mark import NO_MARK, key_on, mark_of
from canary.spec.made import outdone, preferred, rivals
from runtime.informer import Informer, without_managed_fields

MOST_SPLITS: Final = 4096
"""Splits on all routes of a namespace that are known by their targets."""
MOST_MARKED: Final = 64
"""Routes of one target's split that are looked at where they are."""
_SHOWN: Final = 128
"""Characters that are kept of a mark: ours have 32, and whoever wants to writes longer ones."""


def with_owners_of_made(canary: Json) -> Json:
    """Return what is kept of a Canary: who owns its fields matters of those that we have made."""
    labels = canary.get("metadata", {}).get("labels") or {}
    return canary if AUTO_LABEL in labels else without_managed_fields(canary)


@dataclass(slots=True)
class ClusterIndex:
    """The stores of the informers, and what is found in them by more than a name.

    Args:
        namespaces: all namespaces.
        targets: all Deployments.
        canaries: all Canaries.
        routes: one informer for each kind of route; one whose kind the cluster does not have knows
            of none.
        absences: whose Canary was deleted a moment ago.
        gone: which targets were.
        beside: informers that are run with these, and tell of nothing here.
        replica_sets: that of them which tells of all ReplicaSets, and keeps none.

    """

    namespaces: Informer
    targets: Informer
    canaries: Informer
    routes: tuple[Informer, ...] = ()
    absences: Absences = field(default_factory=Absences)
    gone: Absences = field(default_factory=Absences)
    beside: tuple[Informer, ...] = ()
    replica_sets: Informer | None = None
    abroad: Abroad = field(init=False)
    echoes: Echoes = field(init=False, default_factory=Echoes)
    _canary_names: dict[Key, set[str]] = field(init=False, default_factory=dict)
    _signs: dict[Key, Sign] = field(init=False, default_factory=dict)
    _splits: Splits = field(init=False, default_factory=lambda: Splits(MOST_SPLITS))
    _in_run: dict[str, set[str]] = field(init=False, default_factory=dict)
    _doubted: set[Key] = field(init=False, default_factory=set)
    _holds: dict[Key, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Learn from the routes where those lead that lead to other namespaces."""
        self.abroad = Abroad(self.routes)

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All of them."""
        return (self.namespaces, self.targets, self.canaries, *self.routes, *self.beside)

    def target(self, key: Key) -> Json | None:
        """Return the Deployment of a key; None also where only its name is kept."""
        found = self.targets.get(key.namespace, key.name)
        return found if found is not None and "spec" in found else None

    def has_target(self, key: Key) -> bool:
        """Tell whether there is a Deployment of a key, however little of it is kept."""
        return (key.namespace, key.name) in self.targets.store

    def concerns(self, key: Key) -> bool:
        """Tell whether a target is Headgate's to look at: by its namespace, or by a Canary."""
        return self.enabled(key.namespace) or bool(self._canary_names.get(key))

    def concerned(self) -> tuple[Key, ...]:
        """Return all targets that are Headgate's to look at, or carry something of a run."""
        return tuple(key for key in self._targets() if self._is_of_ours(key))

    def of_namespace(self, namespace: str, *, was_enabled: bool) -> tuple[Key, ...]:
        """Return the targets that a change of their namespace concerns.

        Args:
            namespace: which.
            was_enabled: whether it carried the label before.

        """
        everyone = was_enabled or self.enabled(namespace)
        found = (key for key in self._targets() if key.namespace == namespace)
        return tuple(key for key in found if everyone or self._is_of_ours(key))

    def _targets(self) -> Iterator[Key]:
        return (Key(namespace=space, name=name) for space, name in self.targets.store)

    def _is_of_ours(self, key: Key) -> bool:
        in_run = key.name in self._in_run.get(key.namespace, ())
        kept = self.targets.store.is_whole((key.namespace, key.name))
        return in_run or kept or self.concerns(key)

    def canary_targets(self) -> tuple[Key, ...]:
        """Return the targets of all Canaries, whether they are there or not."""
        return tuple(key for key, names in self._canary_names.items() if names)

    def holds(self) -> Mapping[Key, str]:
        """Return the beginnings of the marks of what is held, of targets with replicas."""
        return self._holds

    def canary(self, key: Key) -> Json | None:
        """Return the Canary that a target follows."""
        return preferred(self._canaries_of(key))

    def canary_versions(self, key: Key) -> tuple[tuple[str, str | None], ...]:
        """Return names and versions of a target's Canaries: the same while they are the same."""
        names = sorted(self._canary_names.get(key, ()))
        store = self.canaries.store
        return tuple((name, store.version((key.namespace, name))) for name in names)

    def outdone(self, key: Key) -> Json | None:
        """Return the Canary that was made for a target and gave way to its team's."""
        return outdone(self._canaries_of(key))

    def rivals(self, key: Key) -> tuple[Json, ...]:
        """Return the team's Canaries of a target beside the one that it follows."""
        return rivals(self._canaries_of(key))

    def doubt(self, key: Key) -> None:
        """Have the next look at a target read what there is, whatever is known of it."""
        self._doubted.add(key)

    def doubted(self, key: Key) -> bool:
        """Tell whether there may be more of a target than is known; told once."""
        if key not in self._doubted:
            return False
        self._doubted.remove(key)
        return True

    def made_in(self, key: Key) -> timedelta:
        """Return after what time a Canary may be made for a target that has none.

        Who replaces one deletes it first, and creates the new one under its name.
        """
        return self.absences.left(key)

    def missed_in(self, key: Key) -> timedelta:
        """Return after what time a target that was deleted is not about to be created anew."""
        return self.gone.left(key)

    def _canaries_of(self, key: Key) -> list[Json]:
        names = self._canary_names.get(key, ())
        found = (self.canaries.get(key.namespace, name) for name in names)
        return [one for one in found if one is not None]

    def enabled(self, namespace: str) -> bool:
        """Tell whether a namespace carries the label."""
        return is_enabled(self.namespaces.get("", namespace))

    def ending(self, namespace: str) -> bool:
        """Tell whether a namespace is being deleted."""
        return is_ending(self.namespaces.get("", namespace))

    def unmanaged(self, namespace: str) -> bool:
        """Tell whether the admin keeps Headgate's hands off a namespace."""
        return _label_of(self.namespaces.get("", namespace)) == NAMESPACE_UNMANAGED

    def flagger(self, namespace: str) -> str:
        """Return what tells that a Flagger works on a namespace, "" where nothing does."""
        return at_work(self._signs.values(), namespace)

    def split(self, key: Key) -> bool:
        """Tell whether a route carries a split of a target, or may: `MOST_SPLITS` are known."""
        return self._splits.is_unknown(key.namespace) or bool(self._counted(key))

    def split_targets(self) -> tuple[Key, ...]:
        """Return the targets of all splits, whether they are there or not."""
        return tuple(key for key in self._splits.targets() if self._counted(key))

    def marked(self, key: Key) -> tuple[Route, ...]:
        """Return the routes that carry a target's split, `MOST_MARKED` of them.

        Those first whose marks nobody but us can have written.
        """
        found = self._splits.routes(key)
        return tuple(sorted(found, key=lambda it: (not self._counts(it, key), it))[:MOST_MARKED])

    def _counted(self, key: Key) -> list[Route]:
        return [it for it in self._splits.routes(key) if self._counts(it, key)]

    def _counts(self, route: Route, key: Key) -> bool:
        """Tell whether a mark is to be heeded: without the label anybody writes what he likes."""
        return route[1] == key.namespace or self.enabled(route[1])

    def learn_target(self, key: Key, new: Json | None) -> None:
        """Take in a change of a Deployment."""
        notes = {} if new is None else annotations(new)
        if new is None:
            self.gone.begin(key)
        else:
            self.gone.end(key)
        if HOLD in notes or PROMOTING in notes:
            self._in_run.setdefault(key.namespace, set()).add(key.name)
        elif (in_run := self._in_run.get(key.namespace)) is not None:
            in_run.discard(key.name)
        spec = (new or {}).get("spec")
        if spec and HOLD in notes and spec.get("replicas") != 0:
            self._holds[key] = notes[HOLD][:_SHOWN]
        else:
            self._holds.pop(key, None)
        sign = sign_of(new) if new is not None and spec else None
        if sign is None:
            self._signs.pop(key, None)
        else:
            self._signs[key] = sign

    def learn_canary(self, old: Json | None, new: Json | None) -> tuple[Key, ...]:
        """Take in a change of a Canary and return the targets that it concerns."""
        keys = []
        if old is not None:
            keys.append(target_of(old))
            self._forget_canary(target_of(old), old["metadata"]["name"])
        if new is not None:
            keys.append(target_of(new))
            self._canary_names.setdefault(target_of(new), set()).add(new["metadata"]["name"])
            self.absences.end(target_of(new))
        elif keys and not self._canary_names.get(keys[0]):
            self.absences.begin(keys[0])
        return tuple(dict.fromkeys(keys))

    def _forget_canary(self, key: Key, name: str) -> None:
        names = self._canary_names.get(key, set())
        names.discard(name)
        if not names:
            self._canary_names.pop(key, None)

    def learn_route(self, old: Json | None, new: Json | None) -> tuple[Key, ...]:
        """Take in a change of a route and return the targets that it concerns.

        Those are the targets of its splits, of now and as they were learned before, and all that
        are in a run beside it where it names something else: a route that was deleted and made
        again, or that leads to one of them from now on, has no split that would tell. A step of
        one run changes weights alone, and concerns no other.
        """
        after = _split_targets(new)
        route = new or old or {}
        namespace = str(route["metadata"].get("namespace", ""))
        place = (str(route.get("kind")), namespace, str(route["metadata"]["name"]))
        before = self._splits.learn(place, after)
        self.abroad.learn(place, (new or {}).get("abroad", ()))
        heeded = {key for key in before | after if self._counts(place, key)}
        if old is not None and new is not None and _meaning(old) == _meaning(new):
            return ()
        if _names_the_same(old, new):
            return tuple(before | after)
        beside = {
            Key(namespace=namespace, name=target) for target in self._in_run.get(namespace, ())
        }
        return tuple(heeded | beside)

    @property
    def is_synced(self) -> bool:
        """Whether there is a first list of everything but routes, whose kinds may be missing."""
        return all(informer.synced.is_set() for informer in self._needed)

    async def synced(self) -> None:
        """Wait until `is_synced`."""
        for informer in self._needed:
            await informer.synced.wait()

    @property
    def _needed(self) -> tuple[Informer, ...]:
        return (self.namespaces, self.targets, self.canaries)


def is_enabled(namespace: Json | None) -> bool:
    """Tell whether a namespace carries the label."""
    return _label_of(namespace) == NAMESPACE_ENABLED


def is_ending(namespace: Json | None) -> bool:
    """Tell whether a namespace is being deleted."""
    return bool((namespace or {}).get("metadata", {}).get("deletionTimestamp"))


def _label_of(namespace: Json | None) -> str:
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    return str(labels.get(NAMESPACE_LABEL, ""))


def _split_targets(route: Json | None) -> set[Key]:
    if route is None:
        return set()
    return {key_on(route, name) for name in (mark_of(route) or NO_MARK).splits}


def _names_the_same(old: Json | None, new: Json | None) -> bool:
    if old is None or new is None:
        return False
    return "names" in new and old.get("names") == new["names"]


def _meaning(route: Json) -> tuple[object, object, Mapping[str, str]]:
    """Return a route with no more of what its gateways write than what counts of it."""
    return route.get("spec"), route.get("told"), annotations(route)
