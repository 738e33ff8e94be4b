"""A target whose next version gets half of the traffic, and keeps it: no tick comes for minutes."""

from tests.cluster.kit import Json, Kubectl, canary, phase, route, service, split_of, wait_for, web

GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"


def record(kubectl: Kubectl, name: str = "web") -> Json:
    made = canary(
        kubectl.namespace, interval="10m", stepWeight=50, maxWeight=50, metrics=[], webhooks=[]
    )
    made["metadata"]["name"] = name
    return made


def deploy(kubectl: Kubectl, host: str, *more: Json) -> None:
    objects = (web(GOOD, replicas=1), service(), route(host), record(kubectl), *more)
    kubectl.apply(*objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 30)


def share(kubectl: Kubectl, name: str = "web") -> int | None:
    found = kubectl.find("httproute", name)
    return None if found is None else split_of(found).get(f"{name}-canary")


def update(kubectl: Kubectl) -> None:
    kubectl("set", "image", "deployment/web", f"web={BETTER}")


def started(kubectl: Kubectl) -> None:
    update(kubectl)
    wait_for("half of the traffic", lambda: share(kubectl) == 50, 120)
