"""A cluster with more objects than one list may have: they come page by page, or not at all."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from runtime.errors import Expired, TooLarge
from runtime.resources import ListResult, Resource
from tests.fakes.stored import Stored


def too_large() -> TooLarge:
    return TooLarge(0, "TooLarge", "a list of more than 16777216 bytes")


@dataclass
class Long(Stored):
    """Objects that no list of all namespaces has.

    `fat` are plurals and namespaces of which not even a list of the namespace can be read; of the
    namespace "" not even pages. `slow` is how many lists of pages take too long. `pages_read` are
    the sizes of all pages.
    """

    fat: set[tuple[str, str]] = field(default_factory=set)
    slow: int = 0
    pages_read: list[int] = field(default_factory=list)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if namespace is None or (resource.plural, namespace) in self.fat:
            raise too_large()
        return await super().list(resource, namespace, label_selector=label_selector)

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield two objects at a time."""
        if (resource.plural, "") in self.fat:
            raise too_large()
        found = await super().list(resource, namespace, label_selector=label_selector)
        for begin in range(0, len(found.items) or 1, 2):
            page = found.items[begin : begin + 2]
            self.pages_read.append(len(page))
            yield ListResult(page, found.resource_version)
            if self.slow:
                self.slow -= 1
                raise Expired(410, "Expired", "the state is not kept any more")
