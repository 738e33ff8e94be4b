"""Lists that are kept are what the API server would answer, whatever the watch has told so far."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.kept_lists import IDLE, KeptLists
from runtime.packed import LARGEST, mask_of
from runtime.resources import ListResult
from tests.fakes.stored import matches

Json = dict[str, Any]
SPACE = "shop"
SELECTORS = ("", "app=web", "app=web,tier", "!app", "app in (api,web)")
LABELS: tuple[dict[str, str], ...] = (
    {},
    {"app": "web"},
    {"app": "web", "tier": "front"},
    {"app": "api"},
)
NAMES = ("a", "b", "c")


class Server:
    """Objects with versions, and a watch that tells of them later."""

    def __init__(self) -> None:
        self.version = 0
        self.objects: dict[str, Json] = {}
        self.untold: deque[tuple[Json, bool]] = deque()

    def write(self, name: str, labels: dict[str, str]) -> Json:
        obj = self._made(name, labels)
        self.objects[name] = obj
        self.untold.append((obj, False))
        return obj

    def delete(self, name: str) -> None:
        if (obj := self.objects.pop(name, None)) is not None:
            self.untold.append((self._made(name, obj["metadata"]["labels"]), True))

    def _made(self, name: str, labels: dict[str, str]) -> Json:
        self.version += 1
        metadata = {"namespace": SPACE, "name": name, "labels": labels}
        return {
            "metadata": {**metadata, "resourceVersion": str(self.version)},
            "spec": self.version,
        }

    def listed(self, selector: str) -> ListResult:
        found = [it for it in self.objects.values() if fits(it["metadata"]["labels"], selector)]
        return ListResult(found, str(self.version))

    def tell(self, kept: KeptLists, most: int) -> None:
        for _ in range(min(most, len(self.untold))):
            obj, gone = self.untold.popleft()
            kept.hear(obj, gone=gone)


def fits(labels: dict[str, str], selector: str) -> bool:
    """Say by other means than the code what a selector of these selects."""
    match selector:
        case "!app":
            return "app" not in labels
        case "app in (api,web)":
            return labels.get("app") in {"api", "web"}
        case _:
            return matches(labels, selector)


def by_name(objects: Sequence[Json]) -> dict[str, Json]:
    return {it["metadata"]["name"]: it for it in objects}


def asked(kept: KeptLists, server: Server, selector: str, meanwhile: Callable[[], None]) -> None:
    """Ask for a list; something happens before and after it was answered."""
    with kept.filling(SPACE, selector) as fill:
        meanwhile()
        found = server.listed(selector)
        meanwhile()
        fill(found)


WRITES = st.tuples(
    st.sampled_from(("write", "own", "delete", "our delete")),
    st.sampled_from(NAMES),
    st.sampled_from(LABELS),
)
STEPS = st.one_of(
    WRITES,
    st.tuples(st.just("tell"), st.integers(1, 4), st.none()),
    st.tuples(st.just("ask"), st.sampled_from(SELECTORS), st.lists(WRITES, max_size=2)),
    st.tuples(
        st.just("late"),
        st.sampled_from(NAMES),
        st.tuples(st.sampled_from(LABELS), st.booleans(), st.integers(0, 4)),
    ),
)


class Play:
    """One process that writes and reads, beside others that write."""

    def __init__(self) -> None:
        self.server, self.kept = Server(), KeptLists(100_000)
        self.own: dict[str, Json | None] = {}
        self.kept.begin("0")

    def run(self, what: str, name: Any, more: Any) -> None:
        match what:
            case "write":
                self.server.write(name, more)
            case "own":
                self.own[name] = self.server.write(name, more)
                self.kept.saw(self.own[name] or {})
            case "delete":
                self.server.delete(name)
            case "our delete":
                self.server.delete(name)
                self.own[name] = None
                self.kept.doubt(SPACE, name, everywhere=False)
            case "late":
                # Its answer comes when the watch has told of it, and of its end.
                labels, ends, told = more
                written = self.server.write(name, labels)
                self.own[name] = written
                if ends:
                    self.server.delete(name)
                    self.own[name] = None
                self.server.tell(self.kept, told)
                self.kept.saw(written)
            case "tell":
                self.server.tell(self.kept, name)
            case _:
                todo = list(more)
                asked(
                    self.kept,
                    self.server,
                    name,
                    lambda: self.run(*todo.pop()) if todo else self.server.tell(self.kept, 1),
                )

    def check_own(self) -> None:
        """Nothing that is answered is older than what this process has written itself."""
        for selector in SELECTORS:
            found = self.kept.answer(SPACE, selector)
            if found is None:
                continue
            known = by_name(found)
            for name, obj in self.own.items():
                written = 0 if obj is None else int(obj["metadata"]["resourceVersion"])
                if name in known:
                    assert int(known[name]["metadata"]["resourceVersion"]) >= written
                elif obj is not None and fits(obj["metadata"]["labels"], selector):
                    assert name not in self.server.objects or self.server.objects[name] != obj


@given(st.lists(STEPS, max_size=25))
def test_what_is_kept_is_what_would_be_listed_once_all_is_told(steps: Any) -> None:
    play = Play()
    for step in steps:
        play.run(*step)
        play.check_own()
    play.server.tell(play.kept, 1000)
    for selector in SELECTORS:
        found = play.kept.answer(SPACE, selector)
        wanted = by_name(play.server.listed(selector).items)
        assert found is None or by_name(found) == wanted
        if "" in SELECTORS and found is not None and selector == "":
            one = play.kept.answer_one(SPACE, "a")
            assert one == [wanted["a"]] if "a" in wanted else one == []


def kept_of(server: Server, selector: str = "app=web", total: int = 100_000) -> KeptLists:
    kept = KeptLists(total)
    kept.begin(str(server.version))
    asked(kept, server, selector, lambda: None)
    return kept


def test_a_list_is_not_answered_where_it_must_not_be_older_than_what_is_known() -> None:
    server = Server()
    server.write("a", {"app": "web"})
    server.untold.clear()
    kept = kept_of(server)
    assert kept.answer(SPACE, "app=web", since=1)
    assert kept.answer(SPACE, "app=web", since=2) is None
    kept.reach("2")
    assert kept.answer(SPACE, "app=web", since=2)


def test_nothing_is_known_of_what_nobody_has_asked_for_nor_after_a_watch_lost_its_place() -> None:
    server = Server()
    kept = kept_of(server)
    assert kept.answer(SPACE, "") is None
    assert kept.answer("elsewhere", "app=web") is None
    server.write("a", {"app": "web"})
    server.tell(kept, 1)
    assert kept.size > 0
    kept.lose()
    assert (kept.answer(SPACE, "app=web"), kept.size, len(kept)) == (None, 0, 0)
    asked(kept, server, "app=web", lambda: None)
    assert kept.answer(SPACE, "app=web") is None, "the watch tells of nothing yet"


@pytest.mark.parametrize("version", ["", "abc", "-1"])
def test_versions_that_are_no_numbers_have_nothing_kept(version: str) -> None:
    kept = KeptLists(100_000)
    kept.begin(version)
    asked(kept, Server(), "", lambda: None)
    assert kept.answer(SPACE, "") is None


def test_a_selector_that_cannot_be_read_has_its_list_asked_for_every_time() -> None:
    server = Server()
    kept = kept_of(server, "app in (")
    assert (kept.answer(SPACE, "app in ("), len(kept)) == (None, 0)


def test_a_list_that_failed_leaves_nothing() -> None:
    kept = KeptLists(100_000)
    kept.begin("1")
    with pytest.raises(TimeoutError), kept.filling(SPACE, ""):
        raise TimeoutError
    assert len(kept) == 0


def test_all_lists_together_have_a_bound_and_those_asked_for_last_stay() -> None:
    now, server = [0.0], Server()
    kept = KeptLists(20_000, clock=lambda: now[0])
    kept.begin("0")
    for number in range(100):
        now[0] += 1
        server.objects.clear()
        server.write("a", {"app": f"web-{number}"})
        server.objects["a"]["spec"] = "x" * 10
        asked(kept, server, f"app=web-{number}", lambda: None)
        assert kept.answer(SPACE, "app=web-0") is not None, "it is asked for all the time"
        assert kept.size <= 20_000
    assert kept.answer(SPACE, "app=web-99") is not None
    assert kept.answer(SPACE, "app=web-1") is None
    now[0] += IDLE
    asked(kept, server, "", lambda: None)
    assert len(kept) == 1, "the others have been asked for long ago"


def test_what_is_too_large_or_too_deep_is_kept_nowhere_and_harms_no_other_list() -> None:
    server = Server()
    server.write("a", {"app": "web"})
    server.write("b", {"app": "api"})
    server.untold.clear()
    kept = kept_of(server)
    asked(kept, server, "app=api", lambda: None)
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    for spec in (deep, "x" * (LARGEST + 1)):
        server.write("a", {"app": "web"})["spec"] = spec
        server.tell(kept, 1)
        assert kept.answer(SPACE, "app=web") is None
        asked(kept, server, "app=web", lambda: None)
        assert kept.answer(SPACE, "app=web") is None
        assert kept.answer(SPACE, "app=api")


def test_one_list_does_not_let_all_others_go() -> None:
    server = Server()
    server.write("b", {"app": "api"})
    kept = kept_of(server, "app=api", total=4_000)
    for number in range(50):
        server.write(f"web-{number}", {"app": "web"})
    asked(kept, server, "app=web", lambda: None)
    assert kept.answer(SPACE, "app=web") is None
    assert kept.answer(SPACE, "app=api")


def test_of_a_list_those_alone_are_unpacked_that_may_name_what_is_asked_for() -> None:
    kept = KeptLists(1_000_000, by_words=True)
    kept.begin("0")
    with kept.filling("prod", "") as fill:
        items = [
            {
                "metadata": {"namespace": "prod", "name": f"route-{it}", "resourceVersion": "1"},
                "spec": {"backend": f"app-{it}"},
            }
            for it in range(100)
        ]
        fill(ListResult(items, "1"))
    found = kept.answer("prod", "", naming=mask_of(["app-7", "none"])) or []
    assert items[7] in found
    assert len(found) < 20
    assert len(kept.answer("prod", "") or []) == 100
