"""Every strategy as it is installed: what users meet while it runs, and how it ends.

Requests are counted by what users are answered, and where the canary counts them itself. Each
strategy has a good version, which is promoted, and a bad one, which is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import pytest
import requests

from tests.cluster.kit import (
    ENDED,
    Json,
    Kubectl,
    Traffic,
    begun,
    message,
    phase,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
OLD, GOOD, BAD = "old", "good", "bad"
INSIDER: Final = {"x-canary": "insider"}
COOKIE: Final = "web-version"
RATE: Final = 15.0
MOST: Final = 200.0
"""Seconds that a run may take: three checks or so, 10 s apart, on a machine with other work."""
ERRORS: Final = {"ERROR_SHARE": "0.5"}
CRASHES: Final = {"CRASH_AFTER_S": "8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A strategy, as a Canary asks for it.

    `apart` is whether plain users are answered by the stable alone until the promotion begins,
    `copies` whether the canary is sent copies of what they ask, `faults` what is wrong with the bad
    version. Without `routed` no route leads to the Service.
    """

    name: str
    analysis: Json
    apart: bool = False
    copies: bool = False
    routed: bool = True
    faults: Mapping[str, str] = field(default_factory=lambda: ERRORS)

    def canary(self) -> Json:
        """Return the Canary."""
        rate = {
            "name": "request-success-rate",
            "thresholdRange": {"min": 99},
            "interval": "30s",
        }
        common = {"interval": "10s", "threshold": 2, "metrics": [rate] if self.routed else []}
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "web"},
            "spec": {
                **({} if self.routed else {"provider": "kubernetes"}),
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "service": {"port": 80, "targetPort": 8080},
                "analysis": {**common, **self.analysis},
            },
        }


MATCHED: Final = [{"headers": {"x-canary": {"exact": "insider"}}}]
MIRROR = Form(name="mirror", analysis={"stepWeights": [50], "mirror": True}, copies=True)
MATCH = Form(name="match", analysis={"iterations": 2, "match": MATCHED}, apart=True)
BLUE_GREEN = Form(name="blue-green", analysis={"iterations": 2})
COPIED = Form(name="blue-green-mirrored", analysis={"iterations": 2, "mirror": True}, copies=True)
KEPT = Form(
    name="affinity",
    analysis={"stepWeights": [40], "sessionAffinity": {"cookieName": COOKIE, "maxAge": 600}},
)
UNROUTED = Form(
    name="kubernetes", analysis={"iterations": 2}, apart=True, routed=False, faults=CRASHES
)
FORMS = [MIRROR, MATCH, BLUE_GREEN, COPIED, KEPT, UNROUTED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was there at one moment of a run, in seconds since the traffic began."""

    at: float
    phase: str
    weight: int
    served: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """An app under traffic, of plain users and of those who ask for the canary."""

    kubectl: Kubectl
    form: Form
    users: Traffic
    insiders: Traffic

    def push(self, version: str, faults: Mapping[str, str]) -> tuple[Look, ...]:
        """Release a version, and return what was seen until its verdict."""
        none = dict.fromkeys([*ERRORS, *CRASHES], "")
        given = {"VERSION": version, **none, **faults}
        self.kubectl("set", "env", "deployment/web", *(f"{k}={v}" for k, v in given.items()))
        begun(self.kubectl)
        looks: list[Look] = []

        def ended() -> bool:
            looks.append(self.look())
            return looks[-1].phase in ENDED

        wait_for("a verdict", ended, MOST, every=0.5)
        return tuple(looks)

    def look(self) -> Look:
        """Look at the run."""
        at, served = self.users.now(), self.served()
        status = self.kubectl.get("canary", "web")["status"]
        return Look(
            at=at, phase=status["phase"], weight=status.get("canaryWeight", 0), served=served
        )

    def served(self) -> int:
        """Return how many requests a pod of the canary has had; 0 where there is none."""
        path = f"/api/v1/namespaces/{self.kubectl.namespace}/services/web-canary:http/proxy/metrics"
        page = self.kubectl.run("get", "--raw", path).stdout
        counts = [line for line in page.splitlines() if line.startswith("http_requests_total{")]
        return sum(int(line.rsplit(" ", 1)[1]) for line in counts)


@contextmanager
def team(
    kubectl: Kubectl, host: str, gateway: str, form: Form, objects: Sequence[Json] = ()
) -> Iterator[Team]:
    """Set an app up, with its users; other objects may stand for its Canary and route."""
    target = web("headgate/demo:1.0")
    (container,) = target["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "VERSION", "value": OLD}]
    routes = [route(host)] if form.routed else []
    kubectl.apply(target, service(), *(objects or [*routes, form.canary()]))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 120)
    address = gateway
    if not form.routed:
        address = f"http://{kubectl.get('service', 'web')['spec']['clusterIP']}"
    with (
        Traffic(address, host=host, rate=RATE) as users,
        Traffic(address, host=host, rate=RATE, headers=INSIDER) as insiders,
    ):
        for one in (users, insiders):
            serving(one)
        yield Team(kubectl=kubectl, form=form, users=users, insiders=insiders)


def is_served_by(traffic: Traffic, version: str) -> bool:
    """Tell whether the answers of the last second are a version's alone."""
    last = traffic.answers[-int(RATE) :]
    return all(text.endswith(f" {version}") for _, _, text in last)


def answered(traffic: Traffic, version: str, until: float) -> int:
    """Return how many requests that were sent by then were answered by a version."""
    return sum(text.endswith(f" {version}") for at, _, text in traffic.answers if at < until)


@pytest.mark.timeout(500, func_only=True)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_strategy_promotes_the_good_and_refuses_the_bad(
    namespace: Kubectl, host: str, gateway: str, form: Form
) -> None:
    with team(namespace, host, gateway, form) as there:
        before = namespace.get("service", "web")
        looks = there.push(GOOD, {})
        assert looks[-1].phase == "Succeeded", message(namespace)
        namespace("wait", "canary/web", "--for=condition=Promoted", "--timeout=10s")
        judged = [look for look in looks if look.phase == "Progressing"]
        meets_users_as_its_strategy_says(there, GOOD, judged)
        settled = there.users.now()
        wait_for("answers of it alone", lambda: there.users.now() > settled + 3, 10)
        for traffic in (there.users, there.insiders):
            assert {status for _, status, _ in traffic.answers} == {200}
            assert {text.split()[-1] for at, _, text in traffic.answers if at > settled} == {GOOD}

        looks = there.push(BAD, form.faults)
        assert looks[-1].phase == "Failed", message(namespace)
        namespace("wait", "canary/web", "--for=condition=Promoted=False", "--timeout=10s")
        ended = there.users.now()
        for traffic in (there.users, there.insiders):
            wait_for("the gateway follows", partial(is_served_by, traffic, GOOD), 20)
        settled = there.users.now()
        wait_for("answers of the other", lambda: there.users.now() > settled + 3, 10)
        for traffic in (there.users, there.insiders):
            later = [text for at, _, text in traffic.answers if at > settled]
            assert {text.split()[-1] for text in later} == {GOOD}
            wrong = [text for _, status, text in traffic.answers if status != 200]
            assert {text.split()[-1] for text in wrong} <= {BAD}
        if form.apart or form.copies:
            assert answered(there.users, BAD, ended) == 0
        assert namespace.get("service", "web") == before
        if form.routed:
            assert split_of(namespace.get("httproute", "web")).get("web-canary", 0) == 0


def meets_users_as_its_strategy_says(there: Team, version: str, judged: list[Look]) -> None:
    """Hold the answers of a run's checks against its strategy."""
    form, at = there.form, judged[-1].at
    alone = [look for look in judged if look.weight == 0]
    if form.apart:
        assert answered(there.users, version, at) == 0
    elif form is not KEPT:
        assert answered(there.users, version, alone[-1].at) == 0
        assert answered(there.users, version, at) > 0
    if form.copies:
        assert max(look.served for look in alone) > RATE
    if form is MATCH:
        own = [at for at, _, text in there.insiders.answers if text.endswith(f" {version}")]
        inside = [text for sent, _, text in there.insiders.answers if own[0] + 2 < sent < at]
        assert inside
        assert {text.split()[-1] for text in inside} == {version}


def test_a_user_who_has_met_the_canary_stays_with_it(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    # A step that lasts, so that the run does not end while users are looked at.
    form = replace(KEPT, analysis={**KEPT.analysis, "interval": "60s"})
    with team(namespace, host, gateway, form), requests.Session() as session:
        namespace("set", "env", "deployment/web", f"VERSION={GOOD}")
        session.headers["Host"] = host

        def ask() -> str:
            return session.get(gateway, timeout=10).text.split()[-1]

        def met() -> bool:
            session.cookies.clear()
            return ask() == GOOD and bool(session.cookies)

        wait_for("an answer of the canary with its cookie", met, 60)
        assert [cookie.name for cookie in session.cookies] == [COOKIE]
        assert {ask() for _ in range(40)} == {GOOD}
        status = namespace.get("canary", "web")["status"]
        assert (status["phase"], status["canaryWeight"]) == ("Progressing", 40)
