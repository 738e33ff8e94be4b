"""`python -m analyzer.uninstall`: end every run and remove Headgate without an outage.

The order matters: first nothing decides any more, then nothing catches writes any more, then
traffic leaves the canaries, and only then do they go.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, TypeVar

from analyzer.adapters import ROUTES, router_of
from analyzer.loop.leftovers import OURS, OWNERS
from analyzer.loop.listing import Place, gathered, place_of, still_there
from analyzer.loop.parked import put_back
from analyzer.loop.revisions import replica_sets
from analyzer.loop.sweeper import Anywhere, Sweeper
from analyzer.ports import Cluster, Router
from canary.contract import (
    AUTO_LABEL,
    AUTO_VALUE,
    HOLD,
    INTERNAL_ANNOTATIONS,
    POD_TEMPLATE_HASH,
    STABLE,
    SYSTEM_NAMESPACE,
)
from canary.model import world
from canary.model.values import Json, Key
from canary.objects.ownership import canary_deployment_of
from canary.objects.workloads import annotations, known_templates, read_revisions
from canary.routes.mark import NO_MARK, key_on, mark_of
from canary.spec.made import Whose, renewed, whose
from runtime import kube
from runtime.errors import Forbidden, Invalid, NotFound, TooLarge
from runtime.resources import (
    ADMISSIONPOLICIES,
    ADMISSIONPOLICYBINDINGS,
    ALERTPROVIDERS,
    CANARIES,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CRDS,
    DEPLOYMENTS,
    METRICTEMPLATES,
    MUTATINGWEBHOOKCONFIGURATIONS,
    NAMESPACES,
    PODS,
    PRIORITYCLASSES,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    Resource,
)
from runtime.writes import deleted, patched

T = TypeVar("T")

ANALYZER: Final = "headgate-analyzer"
WEBHOOKS: Final = "headgate"
PART_OF: Final = "app.kubernetes.io/part-of=headgate"
ANALYZER_PODS: Final = "app.kubernetes.io/component=analyzer"
ADOPTION: Final = 30
"""Seconds for the Deployment controller to adopt a ReplicaSet: it takes some 10 ms."""
USER_KINDS: Final = (CANARIES, METRICTEMPLATES, ALERTPROVIDERS)


class Candidates(StrEnum):
    """What becomes of candidates that are held."""

    STABLE = "stable"
    RELEASE = "release"


class Uninstall:
    """Removes Headgate from a cluster, step by step; each step can be repeated.

    Args:
        cluster: the API server, with an admin's rights.
        candidates: whether the stable keeps serving or held candidates are released.
        drain: seconds that connections to canaries get.
        say: tells the admin what is done.

    """

    def __init__(
        self, cluster: Cluster, candidates: Candidates, drain: float, say: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._candidates = candidates
        self._drain = drain
        self._say = say
        self._split: set[Key] = set()
        """Targets whose canaries may have traffic still, so that they must stay."""

    async def run(self) -> None:
        """Remove everything.

        Raises:
            ApiError: the API server could not do its part; run it again.
            Overtaken: somebody else changed what was to be removed; run it again.
            TimeoutError: the analyzer's pods did not end, or no Deployment controller works.

        """
        await self._stop_analyzer()
        await self._open_the_status()
        for configurations in (MUTATINGWEBHOOKCONFIGURATIONS, VALIDATINGWEBHOOKCONFIGURATIONS):
            await self._cluster.delete(configurations, "", WEBHOOKS)
        self._say("writes are not caught any more")
        await self._plain_routes()
        for target in await self._gathered(DEPLOYMENTS, _marked):
            name, namespace = target["metadata"]["name"], target["metadata"]["namespace"]
            await self._unless_denied(f"{name}.{namespace}", self._let_go(target))
        await Sweeper(self._cluster, Anywhere(), lambda _: None).sweep(all_of_them=True)
        await self._delete_canaries()
        await self._delete_records()
        await self._delete_ourselves()

    async def _open_the_status(self) -> None:
        """Let marks and records be written by whoever may: nobody else guards them any more."""
        for resource in (ADMISSIONPOLICYBINDINGS, ADMISSIONPOLICIES):
            for obj in await self._gathered(resource, _itself, PART_OF):
                await deleted(self._cluster, resource, obj)

    async def _stop_analyzer(self) -> None:
        await self._cluster.delete(DEPLOYMENTS, SYSTEM_NAMESPACE, ANALYZER)
        async with asyncio.timeout(60):
            while await self._analyzers():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.5)
        self._say("the analyzer has stopped")

    async def _analyzers(self) -> list[Json]:
        found = await self._cluster.list(PODS, SYSTEM_NAMESPACE, label_selector=ANALYZER_PODS)
        return found.items

    async def _plain_routes(self) -> None:
        marked = defaultdict[Key, set[tuple[str, str, str]]](set)
        for resource in ROUTES:  # a split may have outlived its canary
            for place, targets in await self._gathered(resource, _split_on):
                for key in targets:
                    marked[key].add((resource.kind, *place[:2]))
        router = router_of(self._cluster, marked=lambda key: marked.get(key, ()))
        made = await self._gathered(DEPLOYMENTS, _target_of, OURS)
        for key in sorted({*made, *marked}):
            if not await self._unless_denied(f"the routes of {key}", self._plain(router, key)):
                self._split.add(key)

    async def _plain(self, router: Router, key: Key) -> None:
        await router.clean(key)
        self._say(f"all traffic of {key} goes to its stable pods")

    async def _let_go(self, target: Json) -> None:
        namespace, name = target["metadata"]["namespace"], target["metadata"]["name"]
        await put_back(self._cluster, target)
        found = await self._adopted(target)
        said = ""

        def patch_for(current: Json) -> Json:
            nonlocal said
            patch, said = _letting_go(current, found, self._candidates)
            return patch

        await patched(self._cluster, DEPLOYMENTS, target, patch_for)
        self._say(f"{name}.{namespace}: {said}")

    async def _adopted(self, target: Json) -> list[Json]:
        """Return a target's ReplicaSets once its controller counts with what was put back.

        Released before, the target would get a second ReplicaSet of the same template.
        """
        async with asyncio.timeout(ADOPTION):
            while True:
                found = await replica_sets(self._cluster, target)
                places = {revision.place for revision in read_revisions(found, target)}
                if world.Place.ADRIFT not in places:
                    return found
                await asyncio.sleep(0.1)

    async def _delete_canaries(self) -> None:
        """Delete canaries; a stable Service that was made for a team, and copies, stay with it.

        So does a canary whose routes could not be read.
        """
        targets = set(await self._gathered(DEPLOYMENTS, _target_of, OURS)) - self._split
        if targets:
            self._say(f"connections to {len(targets)} canaries get {self._drain:g} s to end")
            await asyncio.sleep(self._drain)
        for resource, owner_of in OWNERS:

            def ours(obj: Json, owner_of: Callable[[Json], str] = owner_of) -> Place | None:
                key = Key(namespace=obj["metadata"]["namespace"], name=owner_of(obj))
                return place_of(obj) if key.name and key not in self._split else None

            for place in await self._gathered(resource, ours, OURS):
                said = f"{resource.kind} {place[1]}.{place[0]}"
                await self._unless_denied(said, self._delete_made(resource, owner_of, place))

    async def _delete_made(
        self, resource: Resource, owner_of: Callable[[Json], str], place: Place
    ) -> None:
        obj = await still_there(self._cluster, resource, place)
        if obj is not None and owner_of(obj):
            await deleted(self._cluster, resource, obj)

    async def _delete_records(self) -> None:
        for place in await self._gathered(CANARIES, place_of, f"{AUTO_LABEL}={AUTO_VALUE}"):
            said = f"Canary {place[1]}.{place[0]}"
            await self._unless_denied(said, self._delete_record(place))
        left = {it.plural: len(await self._gathered(it, lambda _: True)) for it in USER_KINDS}
        if any(left.values()):
            kept = ", ".join(f"{count} {plural}" for plural, count in left.items() if count)
            self._say(f"the CRDs stay, because teams own {kept}")
            return
        for kind in USER_KINDS:
            await self._cluster.delete(CRDS, "", f"{kind.plural}.{kind.group}")
        self._say("the CRDs are gone")

    async def _delete_record(self, place: Place) -> None:
        canary = await still_there(self._cluster, CANARIES, place)
        if canary is None:
            return
        match whose(canary):
            case Whose.TAKEN:  # a team's, of which no analyzer has heard
                await patched(self._cluster, CANARIES, canary, renewed)
            case Whose.MADE | Whose.FORMER:
                await deleted(self._cluster, CANARIES, canary)
            case Whose.OWN:  # taken over meanwhile
                return

    async def _delete_ourselves(self) -> None:
        for resource in (CLUSTERROLEBINDINGS, CLUSTERROLES, PRIORITYCLASSES):
            for obj in await self._gathered(resource, _itself, PART_OF):
                await deleted(self._cluster, resource, obj)
        await self._cluster.delete(NAMESPACES, "", SYSTEM_NAMESPACE)
        self._say(f"namespace {SYSTEM_NAMESPACE} is going")

    async def _unless_denied(self, what: str, step: Awaitable[None]) -> bool:
        """Do a step and return True; say so where one namespace does not let it be done.

        It has more than can be read, or another webhook, a policy or the object's own schema is
        against the write. The others' are done all the same.
        """
        problems: list[str] = []
        try:
            await step
        except* (TooLarge, Invalid, Forbidden) as errors:
            problems += {str(error.args[0]) for error in errors.exceptions}
        for problem in sorted(problems):
            self._say(f"{what}: left as it is, mend it by hand: {problem}")
        return not problems

    async def _gathered(
        self, resource: Resource, take: Callable[[Json], T | None], selector: str = ""
    ) -> list[T]:
        try:
            return await gathered(self._cluster, resource, take, label_selector=selector)
        except NotFound:  # a kind that this cluster does not have
            return []


def _itself(obj: Json) -> Json:
    return obj


def _marked(target: Json) -> Json | None:
    """Return a target that carries marks of ours."""
    return target if any(mark in annotations(target) for mark in INTERNAL_ANNOTATIONS) else None


def _target_of(deployment: Json) -> Key | None:
    """Return the target whose canary a Deployment is."""
    owner = canary_deployment_of(deployment)
    return Key(namespace=deployment["metadata"]["namespace"], name=owner) if owner else None


def _split_on(route: Json) -> tuple[Place, frozenset[Key]] | None:
    """Return where a route is, and the targets that it splits."""
    found = frozenset(key_on(route, target) for target in (mark_of(route) or NO_MARK).splits)
    return (place_of(route), found) if found else None


def _letting_go(target: Json, found: list[Json], candidates: Candidates) -> tuple[Json, str]:
    """Return the patch that leaves a target to its team, and what it says to the admin."""
    patch: Json = {"metadata": {"annotations": dict.fromkeys(INTERNAL_ANNOTATIONS)}}
    if HOLD not in annotations(target) or not target["spec"].get("paused"):
        return patch, "is not marked any more"
    patch["spec"] = {"paused": None}
    stable = _stable_template(target, found)
    if candidates is Candidates.RELEASE or stable is None:
        return patch, "its new version is released"
    patch["spec"]["template"] = stable
    return patch, "keeps its stable version"


def _stable_template(target: Json, found: list[Json]) -> Json | None:
    """Return the patch to the template that serves, or did before the target was scaled to 0."""
    revisions = read_revisions(found, target)
    mark = known_templates(target, found).current(annotations(target).get(STABLE, ""))
    serving = [r for r in revisions if r.template_hash == mark and r.replicas]
    serving = serving or [r for r in revisions if r.replicas]
    serving = serving or [r for r in revisions if r.template_hash == mark]
    if not serving:
        return None
    name = max(serving, key=lambda revision: revision.ready).name
    wanted = next(obj for obj in found if obj["metadata"]["name"] == name)
    template = dict(wanted["spec"]["template"])
    labels = dict(template["metadata"].get("labels") or {})
    labels.pop(POD_TEMPLATE_HASH, None)
    template["metadata"] = {**template["metadata"], "labels": labels}
    return merge_difference(target["spec"]["template"], template)


def merge_difference(before: Json, after: Json) -> Json:
    """Return the merge patch (RFC 7386) that turns one object into another."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        if before.get(key) == value:
            continue
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            patch[key] = merge_difference(old, value)
        else:
            patch[key] = value
    return patch


async def _main(arguments: argparse.Namespace) -> None:
    async with kube.Cluster.connect(arguments.kubeconfig) as cluster:

        def say(text: str) -> None:
            sys.stdout.write(f"{text}\n")

        uninstall = Uninstall(cluster, Candidates(arguments.candidates), arguments.drain, say)
        await uninstall.run()


def main() -> None:
    """Read the command line and remove Headgate."""
    parser = argparse.ArgumentParser(prog="python -m analyzer.uninstall", description=__doc__)
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument(
        "--candidates",
        choices=[str(choice) for choice in Candidates],
        default=str(Candidates.STABLE),
        help="held candidates: keep the stable version, or release the new one",
    )
    parser.add_argument("--drain", type=float, default=5.0, help="seconds for open connections")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
