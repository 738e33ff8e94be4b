"""Where the contract is checked: a namespace of an API server, in memory or real."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from canary.contract import FIELD_MANAGER
from canary.model.values import Json
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS, ListResult, Resource, WatchEvent
from tests.harness.rollouts import REVISION

Look = Callable[[], Awaitable[bool]]
READY: Final = "docker.io/headgate/pause:dev"
NEVER_READY: Final = "headgate.invalid/none:1"


class Server(Protocol):
    """What `runtime.kube.Cluster` and its fake both are."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json: ...

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult: ...

    def watch(
        self, resource: Resource, *, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]: ...

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json: ...

    async def apply(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
    ) -> Json: ...

    async def replace(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json: ...

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Json,
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json: ...

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json: ...

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None: ...


class Place(Protocol):
    """A server, a namespace in it that nobody else uses, and patience."""

    @property
    def server(self) -> Server:
        """The API server."""

    @property
    def namespace(self) -> str:
        """Where objects are to be made."""

    async def until(self, what: str, look: Look) -> None:
        """Let controllers work until there is something to see."""

    async def rest(self) -> None:
        """Let controllers work until they should have done what they do."""


def template(version: str, image: str = READY, app: str = "web") -> Json:
    """Return the template of a version; it differs by an environment variable."""
    container = {"name": "app", "image": image, "env": [{"name": "VERSION", "value": version}]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def deployment(
    place: Place, version: str = "1", *, replicas: int = 1, image: str = READY, **spec: Any
) -> Json:
    """Return a Deployment of a version."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": place.namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(version, image),
            **spec,
        },
    }


async def target(place: Place) -> Json:
    """Return the Deployment."""
    return await place.server.get(DEPLOYMENTS, place.namespace, "web")


async def change(place: Place, spec: Json, annotations: Json | None = None) -> Json:
    """Merge fields into the Deployment."""
    patch: Json = {"spec": spec}
    if annotations is not None:
        patch["metadata"] = {"annotations": annotations}
    return await place.server.merge_patch(DEPLOYMENTS, place.namespace, "web", patch)


async def sets(place: Place) -> dict[str, Json]:
    """Return the ReplicaSets by version."""
    found = (await place.server.list(REPLICASETS, place.namespace)).items
    return {version_of(one["spec"]["template"]): one for one in found}


def version_of(found: Json) -> str:
    """Return the version of a template, or of a pod."""
    return str(found["spec"]["containers"][0]["env"][0]["value"])


async def sizes(place: Place) -> dict[str, int]:
    """Return how many pods each ReplicaSet is to have, by version."""
    return {version: one["spec"]["replicas"] for version, one in (await sets(place)).items()}


async def pods(place: Place) -> list[str]:
    """Return the names of the pods that are there and are not going."""
    found = (await place.server.list(PODS, place.namespace)).items
    return sorted(
        one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]
    )


def number_of(replica_set: Json) -> str:
    """Return the revision of a ReplicaSet."""
    return str((replica_set["metadata"].get("annotations") or {}).get(REVISION))


def progress_of(found: Json) -> str:
    """Return the reason of a Deployment's progress."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one["reason"] for one in conditions if one["type"] == "Progressing"), "")


async def observed(place: Place) -> None:
    """Wait until the controller has seen the Deployment as it is."""

    async def look() -> bool:
        found = await target(place)
        status = found.get("status") or {}
        return bool(status.get("observedGeneration") == found["metadata"]["generation"])

    await place.until("observed", look)


async def complete(place: Place, version: str) -> None:
    """Wait until a version has rolled out."""

    async def look() -> bool:
        found = await target(place)
        status, wanted = found.get("status") or {}, found["spec"]["replicas"]
        counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas")]
        return (
            version_of(found["spec"]["template"]) == version
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and counts == [wanted, wanted]
            and status.get("replicas", 0) == wanted
        )

    await place.until(f"{version} has rolled out", look)


async def sized(place: Place, **wanted: int) -> None:
    """Wait until the ReplicaSets are to have so many pods, by `v` and version."""

    async def look() -> bool:
        found = await sizes(place)
        return all(found.get(version[1:]) == size for version, size in wanted.items())

    await place.until(f"sizes {wanted}", look)


async def polled(what: str, look: Look, seconds: float, pause: float = 0.1) -> None:
    """Look again and again.

    Raises:
        AssertionError: there is nothing to see in time.

    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not await look():
        if loop.time() > end:
            raise AssertionError(f"{what}: never")
        await asyncio.sleep(pause)
