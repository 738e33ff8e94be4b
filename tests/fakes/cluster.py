"""A cluster that does nothing: what a test needs of one is overridden, the rest must not happen."""

from collections.abc import AsyncGenerator, Sequence

from canary.contract import FIELD_MANAGER
from canary.model.values import Json
from runtime.resources import ListResult, Resource


class Untouched:
    """Fails a test that reads or writes what it has not provided."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        raise AssertionError(f"{resource.plural} {namespace}/{name} is read")

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        raise AssertionError(f"{resource.plural} of {namespace} are listed by {label_selector!r}")

    async def groups(self) -> frozenset[str]:
        raise AssertionError("the API groups are read")

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        raise AssertionError(f"{resource.plural} of {namespace} are listed by {label_selector!r}")

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        raise AssertionError(f"{resource.plural} {obj} is made by {field_manager}")

    async def apply(self, resource: Resource, obj: Json) -> Json:
        raise AssertionError(f"{resource.plural} {obj} is applied")

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        raise AssertionError(f"{resource.plural} {namespace}/{name} {subresource}: {patch}")

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
    ) -> Json:
        raise AssertionError(f"{resource.plural} {namespace}/{name} {subresource}: {ops}")

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        raise AssertionError(
            f"{resource.plural} {namespace}/{name} {uid} {resource_version} is deleted"
        )
