"""All that Headgate reads from and writes to Kubernetes goes through `Cluster`.

Objects are plain JSON values. Every call has one deadline over all its attempts. Inside it two
things are repeated: a lost connection and 429. Whatever else goes wrong becomes one type of
`runtime.errors`, once, here, and goes up to the caller, who knows better when to try again.
"""

import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from canary.contract import FIELD_MANAGER
from runtime.answers import Json, lines, watch_event
from runtime.clock import ServerClock
from runtime.connection import DEFAULT_NAMESPACE, Connection, Request, load_access
from runtime.errors import Expired, NotFound
from runtime.paging import Pager, Query, typed
from runtime.resources import ListResult, Resource, WatchEvent

# How long a watch lives at the server. An expired one costs one request, thanks to bookmarks;
# a connection that died without a word is noticed no later than this.
WATCH_SECONDS: Final = 60.0
"""One that says nothing is believed for a while longer, as its end tells that it was there."""
_WATCH_GRACE: Final = 10.0


class Cluster:
    """One API server. Make it with `Cluster.connect`.

    Args:
        connection: sends the requests.
        namespace: the one that a kubeconfig's context names, for what is asked of a person.

    """

    def __init__(self, connection: Connection, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._connection = connection
        self._pager = Pager(connection)
        self.namespace = namespace

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        kubeconfig: str | Path | None = None,
        *,
        deadline: float = 10.0,
        context: str | None = None,
    ) -> AsyncIterator[Self]:
        """Connect while the context lasts.

        Looks at `kubeconfig`, then $KUBECONFIG, then the service account of the pod, whose token
        is read again every minute, then ~/.kube/config.

        Args:
            kubeconfig: path of a kubeconfig, None to look in the environment.
            deadline: seconds that one call may take.
            context: of the kubeconfig, None for its current one.

        Raises:
            ConfigurationError: none of these can be used.

        """
        access = await load_access(kubeconfig, os.environ, context=context)
        # Jitter is no secret.
        rng = random.Random()  # noqa: S311
        connection = Connection(access.configuration, deadline=deadline, rng=rng)
        try:
            yield cls(connection, access.namespace)
        finally:
            await connection.aclose()

    def fenced(self, holds: Callable[[], bool]) -> "Cluster":
        """Return the same API server for one who may write only while `holds`; reads go on.

        What is not sent raises `LeadershipLost`.
        """
        return Cluster(self._connection.fenced(holds), self.namespace)

    def now(self) -> datetime:
        """Return the API server's time, aware, as `clock` tells it."""
        return self.clock.now()

    @property
    def clock(self) -> ServerClock:
        """Learns the API server's time from every answer."""
        return self._connection.clock

    # --- reading ------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Return one object.

        Raises:
            NotFound: there is none.

        """
        return await self._call(Request(method="GET", path=resource.path_of(namespace, name)))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ListResult:
        """Return all objects that match, in one consistent state.

        Args:
            resource: their kind.
            namespace: None for all namespaces.
            label_selector: as `kubectl -l`.
            field_selector: as `kubectl --field-selector`.

        Raises:
            TooLarge: they are more than `runtime.paging.LARGEST_LIST`.

        """
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        path = resource.path(namespace)

        async def all_pages() -> ListResult:
            try:
                return await self._pager.joined(resource, path, query)
            except Expired:
                # The pages took longer than the server keeps their state: ask without pages.
                return await self._pager.unpaged(resource, path, query)

        return await self._connection.within_deadline(all_pages)

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects that match, in one consistent state, a few at a time.

        Each page has a deadline of its own, however many there are.

        Args:
            resource: their kind.
            namespace: None for all namespaces.
            label_selector: as `kubectl -l`.

        Raises:
            Expired: the pages took longer than the server keeps their state: begin again.

        """
        query = _query(labelSelector=label_selector)
        return self._pager.pages(resource, resource.path(namespace), query)

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        seconds: float = WATCH_SECONDS,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after `resource_version` until the server ends the watch.

        Close it (`contextlib.aclosing`) where the loop is left early.

        Args:
            resource: their kind.
            resource_version: of the list or the last event, BOOKMARK included.
            namespace: None for all namespaces.
            label_selector: as `kubectl -l`.
            seconds: after which the server ends the watch.

        Raises:
            Expired: list again, the version is too old, or what came is no event.
            Unavailable: the connection was lost; watch again from the last version.

        """
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            timeoutSeconds=str(max(1, round(seconds))),
        )
        request = Request(
            method="GET",
            path=resource.path(namespace),
            query=query,
            silence=seconds + _WATCH_GRACE,
        )
        response = await self._connection.within_deadline(lambda: self._connection.stream(request))
        async with aclosing(lines(response)) as received:
            async for line in received:
                yield watch_event(line)

    async def version(self) -> Json:
        """Return what the API server says of its own version (`gitVersion`, ...)."""
        return await self._call(Request(method="GET", path="/version"))

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served, but the core's."""
        found = await self._call(Request(method="GET", path="/apis"))
        return frozenset(str(it["name"]) for it in found.get("groups") or ())

    # --- writing ------------------------------------------------------------------------------

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        """Create an object and return it as stored.

        Raises:
            AlreadyExists: there is one of that name.

        """
        return await self._call(
            Request(
                method="POST",
                path=resource.path(_metadata(obj).get("namespace")),
                query=_query(fieldManager=field_manager),
                body=typed(resource, obj),
                idempotent=False,
            )
        )

    async def apply(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
        dry_run: bool = False,
    ) -> Json:
        """Apply an object on the server side and return it as stored.

        Args:
            resource: its kind.
            obj: all fields that `field_manager` wants, and no other. A resourceVersion makes it
                conditional; a uid too, also where the object is not there any more.
            field_manager: owner of the fields.
            force: take fields over from other managers.
            dry_run: only say what would be stored.

        Raises:
            Conflict: a condition does not hold; or, without `force`, another manager owns a field
                with another value.

        """
        query = _query(
            fieldManager=field_manager,
            force="true" if force else "false",
            dryRun="All" if dry_run else "",
        )
        return await self._call(
            Request(
                method="PATCH",
                path=_object_path(resource, obj),
                query=query,
                body=typed(resource, obj),
                content_type="application/apply-patch+yaml",
            )
        )

    async def replace(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        """Replace an object; its resourceVersion, if given, must still be the stored one.

        Raises:
            Conflict: it was written in between, be it by this very request, whose answer was
                lost on the way.
            NotFound: there is none.

        """
        return await self._call(
            Request(
                method="PUT",
                path=_object_path(resource, obj),
                query=_query(fieldManager=field_manager),
                body=typed(resource, obj),
            )
        )

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        """Run RFC 6902 operations on an object, all or none, and return it as stored.

        Raises:
            Invalid: an operation does not fit the object, or its `test` failed.

        """
        return await self._call(
            Request(
                method="PATCH",
                path=resource.path(namespace, name, subresource),
                query=_query(fieldManager=field_manager),
                body=ops,
                content_type="application/json-patch+json",
                idempotent=False,
            )
        )

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Json,
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        """Merge an RFC 7386 patch into an object and return it as stored.

        A resourceVersion in the patch makes it conditional.

        Raises:
            Conflict: as `replace`.

        """
        return await self._call(
            Request(
                method="PATCH",
                path=resource.path(namespace, name, subresource),
                query=_query(fieldManager=field_manager),
                body=patch,
                content_type="application/merge-patch+json",
            )
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """Delete an object; one that is not there is a success.

        Args:
            resource: its kind.
            namespace: where it is, None for kinds without namespaces.
            name: its name.
            uid: delete only the object of that uid.
            resource_version: delete only this version of it.
            propagation: Background, Foreground or Orphan, for what it owns.

        Raises:
            Conflict: the object of that name has another uid or resourceVersion.

        """
        body: Json = {"propagationPolicy": propagation}
        conditions = {"uid": uid, "resourceVersion": resource_version}
        if any(conditions.values()):
            body["preconditions"] = {name: value for name, value in conditions.items() if value}
        request = Request(method="DELETE", path=resource.path(namespace, name), body=body)
        try:
            await self._call(request)
        except NotFound:
            return

    async def _call(self, request: Request) -> Json:
        return await self._connection.within_deadline(lambda: self._connection.fetch(request))


def _query(**values: str) -> Query:
    """Return the parameters that have a value."""
    return tuple((name, value) for name, value in values.items() if value)


def _metadata(obj: Json) -> Json:
    metadata: Json = obj.get("metadata") or {}
    return metadata


def _object_path(resource: Resource, obj: Json) -> str:
    metadata = _metadata(obj)
    return resource.path(metadata.get("namespace"), metadata["name"])
