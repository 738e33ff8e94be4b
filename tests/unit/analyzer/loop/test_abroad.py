"""Routes of other namespaces that lead to a Service, as the watches tell of them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from analyzer.loop.abroad import Abroad
from analyzer.loop.following import essence_of_route, follow, without_mark
from analyzer.loop.surroundings import Surroundings
from canary.model.values import Json
from canary.routes.elsewhere import MOST_ABROAD
from runtime.informer import Informer
from runtime.resources import (
    GRPCROUTES,
    HTTPROUTES,
    LINKERD_HTTPROUTES,
    VIRTUALSERVICES,
    Resource,
    WatchEvent,
)
from tests.fakes.stored import Stored

OURS = ("prod", "web")


def route(name: str, *services: tuple[str, str], namespace: str = "edge") -> Json:
    refs = [{"namespace": space, "name": one, "port": 80} for space, one in services]
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"rules": [{"backendRefs": refs}]},
    }


class Listed(Stored):
    """Objects that can be listed; nothing is ever heard of them."""

    async def watch(self, *_: Any, **__: Any) -> AsyncGenerator[WatchEvent, None]:
        await asyncio.Event().wait()
        yield WatchEvent("BOOKMARK", {})


class Current(Informer):
    """Its watch is believed, or not, as a test wants it."""

    believed = True

    @property
    def is_current(self) -> bool:
        return self.believed


def told(*kinds: Resource, most: int = 100) -> tuple[Abroad, list[Current]]:
    informers = [Current(Listed(), kind) for kind in kinds]
    return Abroad(informers, most), informers


def test_where_each_route_leads_now_is_known() -> None:
    abroad, _ = told(HTTPROUTES, GRPCROUTES)
    abroad.learn(("HTTPRoute", "edge", "a"), [OURS, ("prod", "api")])
    abroad.learn(("HTTPRoute", "mesh", "a"), [OURS])
    abroad.learn(("GRPCRoute", "edge", "a"), [OURS])
    assert abroad.leading(HTTPROUTES, *OURS) == (("edge", "a"), ("mesh", "a"))
    assert abroad.leading(GRPCROUTES, *OURS) == (("edge", "a"),)
    abroad.learn(("HTTPRoute", "edge", "a"), [("prod", "api")])
    assert abroad.leading(HTTPROUTES, *OURS) == (("mesh", "a"),)
    assert abroad.leading(HTTPROUTES, "prod", "api") == (("edge", "a"),)
    abroad.learn(("HTTPRoute", "mesh", "a"), ())
    assert abroad.leading(HTTPROUTES, *OURS) == ()
    assert abroad.leading(GRPCROUTES, *OURS) == (("edge", "a"),)


def test_what_nobody_follows_or_is_not_believed_has_to_be_read() -> None:
    abroad, [routes] = told(HTTPROUTES)
    abroad.learn(("HTTPRoute", "edge", "a"), [OURS])
    assert abroad.leading(LINKERD_HTTPROUTES, *OURS) is None
    routes.believed = False
    assert abroad.leading(HTTPROUTES, *OURS) is None
    routes.is_absent = True
    assert abroad.leading(HTTPROUTES, *OURS) == ()


def test_of_a_kind_with_more_than_is_known_all_have_to_be_read_until_it_has_less() -> None:
    abroad, _ = told(HTTPROUTES, GRPCROUTES, most=3)
    abroad.learn(("HTTPRoute", "edge", "a"), [OURS, ("prod", "api")])
    abroad.learn(("HTTPRoute", "edge", "b"), [OURS, ("prod", "api")])
    assert abroad.leading(HTTPROUTES, *OURS) is None
    assert abroad.leading(GRPCROUTES, *OURS) == ()
    abroad.learn(("HTTPRoute", "edge", "b"), ())
    assert abroad.leading(HTTPROUTES, *OURS) == (("edge", "a"),)
    abroad.learn(("HTTPRoute", "edge", "b"), None)
    assert abroad.leading(HTTPROUTES, *OURS) is None
    abroad.learn(("HTTPRoute", "edge", "b"), [OURS])
    assert abroad.leading(HTTPROUTES, *OURS) == (("edge", "a"), ("edge", "b"))


async def test_a_route_tells_where_it_leads_until_it_is_deleted() -> None:
    cluster = Listed()
    index = follow(cluster, [HTTPROUTES])
    [informer] = index.routes
    informer.synced.set()
    one = essence_of_route({"kind": "HTTPRoute", **route("a", OURS)})
    many = [("prod", f"web-{it}") for it in range(MOST_ABROAD + 1)]
    index.learn_route(None, one)
    assert index.abroad.leading(HTTPROUTES, *OURS) == (("edge", "a"),)
    own = essence_of_route({"kind": "HTTPRoute", **route("a", OURS, namespace="prod")})
    assert "abroad" not in own
    index.learn_route(one, essence_of_route({"kind": "HTTPRoute", **route("a", *many)}))
    assert index.abroad.leading(HTTPROUTES, *OURS) is None
    index.learn_route(without_mark(one), one)
    assert index.abroad.leading(HTTPROUTES, *OURS) == (("edge", "a"),)
    index.learn_route(without_mark(one), None)
    assert index.abroad.leading(HTTPROUTES, *OURS) == ()


class Asked(Stored):
    """Notes which kinds are listed in all namespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.everywhere: list[Resource] = []

    async def list(self, resource: Resource, namespace: str | None = None, **rest: Any) -> Any:
        if namespace is None:
            self.everywhere.append(resource)
        return await super().list(resource, namespace, **rest)


async def test_what_is_known_of_other_namespaces_is_not_listed_and_is_told_alike() -> None:
    cluster = Asked()
    for it in (route("a", OURS), route("b", OURS, namespace="mesh"), route("c", ("x", "web"))):
        cluster.put(HTTPROUTES, it)
    abroad, _ = told(HTTPROUTES, GRPCROUTES)
    abroad.learn(("HTTPRoute", "edge", "a"), [OURS])
    abroad.learn(("HTTPRoute", "mesh", "b"), [OURS])
    abroad.learn(("HTTPRoute", "edge", "c"), [("x", "web")])
    by_reading = (
        await Surroundings(cluster).left_out(*OURS),
        await Surroundings(cluster).unrouted(*OURS),
    )
    assert {HTTPROUTES, GRPCROUTES, VIRTUALSERVICES} <= set(cluster.everywhere)
    cluster.everywhere.clear()
    known = Surroundings(cluster, abroad)
    assert (await known.left_out(*OURS), await known.unrouted(*OURS)) == by_reading
    assert "HTTPRoute edge/a, HTTPRoute mesh/b" in by_reading[1]
    assert not {HTTPROUTES, GRPCROUTES} & set(cluster.everywhere)
    assert VIRTUALSERVICES in cluster.everywhere, "nobody follows them here"
