"""Two apps behind one route: each is in a run, is refused and leaves by itself."""

from contextlib import ExitStack

import pytest

from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    message,
    metric_template,
    phase,
    route,
    service,
    serving,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
NAMES = ("web", "api")


def rule(path: str, *names: str) -> Json:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [{"name": name, "port": 80} for name in names],
    }


TWO_RULES = (rule("/api", "api"), rule("/", "web"))
ONE_RULE = (rule("/", "web", "api"),)


def asked(namespace: str, name: str) -> Json:
    """Return a Canary of two steps that needs no traffic but the test's own."""
    made = canary(namespace, stepWeight=20, maxWeight=40, webhooks=[])
    made["metadata"]["name"] = name
    made["spec"]["targetRef"]["name"] = name
    return made


def deploy(kubectl: Kubectl, host: str, rules: tuple[Json, ...]) -> Json:
    """Set both apps up behind one route and return the route as the team wrote it."""
    shop = route(host, "shop")
    shop["spec"]["rules"] = list(rules)
    kubectl.apply(metric_template(kubectl.namespace), shop)
    for name in NAMES:
        kubectl.apply(web(GOOD, name=name), service(name), asked(kubectl.namespace, name))
    for name in NAMES:
        kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=130)
    known = {"Initialized"}
    wait_for("both are known", lambda: {phase(kubectl, name) for name in NAMES} == known, 30)
    return kubectl.get("httproute", "shop")


def share(kubectl: Kubectl, name: str) -> int:
    """Return the share of an app's canary in percent; it is the same in every rule."""
    found: set[int] = set()
    for it in kubectl.get("httproute", "shop")["spec"]["rules"]:
        weights = {ref["name"]: ref["weight"] for ref in it["backendRefs"]}
        both = weights.get(name, 0) + weights.get(f"{name}-canary", 0)
        if both:
            found.add(round(100 * weights.get(f"{name}-canary", 0) / both))
    [only] = found
    return only


def has_left(kubectl: Kubectl, name: str) -> bool:
    """Tell whether an app's canary Service has gone; no rule may lead to it then."""
    gone = kubectl.find("service", f"{name}-canary") is None
    refs = [
        ref["name"]
        for it in kubectl.get("httproute", "shop")["spec"]["rules"]
        for ref in it["backendRefs"]
    ]
    assert not (gone and f"{name}-canary" in refs), refs
    return gone


def set_image(kubectl: Kubectl, name: str) -> None:
    kubectl("set", "image", f"deployment/{name}", f"web={BETTER}")


@pytest.mark.parametrize("rules", [TWO_RULES, ONE_RULE], ids=["two rules", "one rule"])
def test_a_refused_app_leaves_the_route_and_the_other_goes_on(
    namespace: Kubectl, host: str, gateway: str, rules: tuple[Json, ...]
) -> None:
    written = deploy(namespace, host, rules)
    with ExitStack() as stack:
        addresses = [gateway, f"{gateway}/api"][: len(rules)]
        loads = [stack.enter_context(Traffic(address, host=host)) for address in addresses]
        for load in loads:
            serving(load)
        set_image(namespace, "web")
        wait_for("web at 20 %", lambda: share(namespace, "web") == 20, 90)
        namespace("annotate", "deployment/web", "headgate.dev/pause=now")
        set_image(namespace, "api")
        wait_for("api's first step", lambda: share(namespace, "api") >= 20, 90)
        assert share(namespace, "web") == 20, message(namespace)

        namespace("annotate", "deployment/web", "headgate.dev/abort=now")
        wait_for("web's canary has gone", lambda: has_left(namespace, "web"), 60)
        assert phase(namespace) == "Failed", message(namespace)
        assert phase(namespace, "api") != "Failed", message(namespace, "api")
        ended = {"Succeeded", "Failed"}
        wait_for("api's end", lambda: phase(namespace, "api") in ended, 400)
        assert phase(namespace, "api") == "Succeeded", message(namespace, "api")
        wait_for("api's canary has gone", lambda: has_left(namespace, "api"), 60)
        for load in loads:
            assert set(load.statuses) == {200}, load.statuses
    now = namespace.get("httproute", "shop")
    assert now["spec"] == written["spec"]
    assert "headgate.dev/split" not in (now["metadata"].get("annotations") or {})
