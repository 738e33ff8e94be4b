"""The changes of all objects of one kind from now on, for lists that are asked for one by one."""

from typing import Any, Final

from runtime.informer import Change, Informer, ListWatch
from runtime.kept_lists import KeptLists
from runtime.resources import Resource

Json = dict[str, Any]
NOBODY: Final = "headgate.dev/nobody"
"""A label that no object has: a list by it is empty, and tells where the watch begins."""


class Tail(Informer):
    """Follows a kind of which nothing is kept but the lists that somebody asks for.

    It begins with no list of all objects, so that neither they nor their number matter.

    Args:
        cluster: where the objects are.
        resource: their kind.
        lists: hear of every change.

    """

    def __init__(self, cluster: ListWatch, resource: Resource, lists: KeptLists) -> None:
        super().__init__(cluster, resource)
        self.lists = lists
        self._begins_with = NOBODY

    def _put(self, change: Change, *, listed: bool = False) -> None:
        """Keep nothing, and tell the handlers what there is now: nobody knows what was before."""
        del listed
        if change.place is not None:
            self._tell(change.place, None, change.object)

    def saw(self, obj: Json) -> None:
        """Take in an object as the API server has just returned it."""
        if self.lists is not None:
            self.lists.saw(obj)
