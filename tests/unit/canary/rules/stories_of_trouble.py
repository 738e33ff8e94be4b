"""Stories of what comes in between: routes, pods, the cluster. See `chronicle.py`."""

from dataclasses import replace
from datetime import timedelta

from canary.contract import Command
from canary.model.fates import (
    Broken,
    Incident,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Unready,
)
from canary.model.strategy import (
    InvalidStrategy,
)
from tests.fakes.world import START, STRATEGY
from tests.unit.canary.rules.chronicle import Chronicle
from tests.unit.canary.rules.stories import MINUTE, SHORT, at_weight, held, rolling, story


@story
def no_route(c: Chronicle) -> None:
    c.world.routes, c.world.unrouted = 0, "no HTTPRoute leads to web"
    held(c)
    c.look(3)
    c.world.routes = 1
    at_weight(c, 10)
    c.world.routes, c.world.weight = 0, 0
    c.look(3)
    c.world.unrouted = ""
    c.look(4)


@story
def no_endpoint(c: Chronicle) -> None:
    c.world.unserved = "no endpoint of web-canary is ready"
    held(c)
    c.look(6)
    c.world.now += MINUTE
    c.look(2)
    c.world.unserved = ""
    at_weight(c, 10)
    c.world.unserved = "no endpoint of web-canary is ready"
    c.look(3)
    c.world.now += MINUTE
    c.look(2)
    c.world.unserved = ""
    c.look(4)


@story
def no_endpoint_ever(c: Chronicle) -> None:
    c.world.unserved = "no endpoint of web-canary is ready"
    held(c)
    c.look(5)
    c.world.now += timedelta(minutes=11)
    c.run(until=lambda: c.world.now > START + timedelta(minutes=25))


@story
def another_service_selects_it(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.misfit = "the Service other selects its pods"
    c.look(6)
    c.world.misfit = ""
    at_weight(c, 10)


@story
def deleted_in_part(c: Chronicle) -> None:
    held(c)
    c.look(3)
    c.world.gone = ("Service web-canary",)
    c.look(2)
    at_weight(c, 10)
    c.world.gone = ("Service web-canary", "HTTPRoute web")
    c.look(3)
    c.world.unserved = "no endpoint yet"
    c.look(2)
    c.world.unserved = ""
    c.look(3)


@story
def deleted_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.world.gone = ("Service web-canary",)
    c.look(3)


@story
def its_deployment_deleted(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.canary = ""
    c.look(4)
    c.world.canary = ""
    c.look(4)


@story
def scaled_in_the_middle(c: Chronicle) -> None:
    held(c, STRATEGY)
    c.world.replicas, c.world.pods = 40, {"v1": 40}
    at_weight(c, 20)
    c.world.replicas, c.world.pods = 60, {"v1": 60}
    c.look(3)
    at_weight(c, 50)
    c.world.replicas, c.world.pods = 30, {"v1": 30}
    c.look(4)
    c.world.values["v2"] = 20.0
    c.run()


@story
def given_back_at_once(c: Chronicle) -> None:
    held(c, STRATEGY)
    c.world.replicas, c.world.pods = 40, {"v1": 40}
    at_weight(c, 50)
    c.world.replicas, c.world.pods = 20, {"v1": 20}
    c.look(2)
    c.world.command(Command.ABORT)
    c.look(3)
    c.world.command(Command.ABORT)
    c.run()


@story
def never_ready(c: Chronicle) -> None:
    c.world.canary_ready = False
    held(c)
    c.look(5)
    c.world.now += timedelta(minutes=11)
    c.run()


@story
def without_a_node(c: Chronicle) -> None:
    c.world.canary_ready = False
    c.world.fates = (Starting(pod="web-canary-0", why="Unschedulable: no node has 4 GiB"),)
    held(c)
    c.look(5)
    c.world.now += timedelta(minutes=11)
    c.run(until=lambda: c.world.now > START + timedelta(minutes=30))
    c.world.fates = ()
    c.world.canary_ready = True
    c.run()


@story
def pods_denied(c: Chronicle) -> None:
    c.world.canary_ready = False
    c.world.pods_denied = "exceeded quota: team"
    held(c)
    c.look(6)
    c.world.pods_denied = ""
    c.world.rolling = "1 of 2 pods is of the new template"
    c.look(3)
    c.world.canary_ready = True
    c.look(2)


@story
def a_write_denied(c: Chronicle) -> None:
    held(c)
    c.look(4)
    c.world.state = replace(
        c.world.state, denied_since=c.world.now, denied_why="web.prod cannot go on"
    )
    c.world.canary = ""
    c.look(1)
    c.world.state = replace(
        c.world.state, denied_since=c.world.now, denied_why="web.prod cannot go on"
    )
    c.world.now += timedelta(minutes=11)
    c.look(3)
    c.world.of_all = {}
    c.run()


@story
def trouble(c: Chronicle) -> None:
    c.world.trouble = "pod web-canary-0 cannot start: ImagePullBackOff"
    held(c)
    c.run()


@story
def a_crash(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.restarts, c.world.crash = 1, "container app ended with 137"
    c.run()


@story
def a_crash_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.world.restarts, c.world.crash = 1, "container app ended with 137"
    c.look(10)
    c.run()


@story
def a_rollout_that_fails(c: Chronicle) -> None:
    rolling(c)
    c.world.of_target = {"rollout_failed": "its pods were not available after 600 s"}
    c.look(1)
    c.world.of_target = {}
    c.look(4)


@story
def a_rollout_whose_old_pods_are_gone(c: Chronicle) -> None:
    rolling(c)
    c.world.of_all = {"revisions": c.world.revisions()[1:]}
    c.look(2)
    c.world.canary_ready = False
    c.look(2)


@story
def a_rollout_whose_canary_is_edited(c: Chronicle) -> None:
    rolling(c)
    c.world.strategy = InvalidStrategy(problems=("x",))
    c.look(2)
    c.world.strategy = replace(SHORT, suspended=True)
    c.look(3)


@story
def an_edit_that_cannot_be_followed(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.not_followed = ("stepWeights must rise", "no metrics")
    c.look(4)
    c.world.not_followed = ()
    c.look(2)


@story
def all_fail_their_probes(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.look(2)
    c.world.fates = (Unready(pod="web-canary-0"),)
    c.run()


@story
def all_fail_their_probes_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.world.fates = (Unready(pod="web-canary-0"),)
    c.look(3)


@story
def taken_by_the_cluster(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.look(2)
    c.world.fates = (
        Taken(pod="a", how=Taking.BY_KUBELET, words="node low on memory"),
        Unheard(pod="b"),
        Unready(pod="c"),
        Starting(pod="d", why="ErrImagePull"),
        Starting(pod="e", why="ContainerCreating"),
    )
    c.look(3)
    c.world.fates = (Starting(pod="f", why="Unschedulable"),)
    c.look(2)
    c.world.fates = (Serving(pod="f"),)
    c.look(2)
    c.world.fates = (Taken(pod="f", how=Taking.BY_KUBELET),)
    c.look(3)
    c.world.now += timedelta(minutes=11)
    c.look(4)


@story
def some_taken_by_the_cluster(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.fates = (Serving(pod="a"), Taken(pod="b", how=Taking.BY_KUBELET))
    c.world.canary_size = 2
    c.look(2)
    c.world.of_canary = {"replicas": 1, "ready": 0, "pods_denied": "exceeded quota"}
    c.look(5)
    c.world.now += timedelta(minutes=11)
    c.look(4)


@story
def broken_and_serving(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.fates = (Serving(pod="a"), Broken(pod="b", why="it ended with 1"))
    c.world.of_canary = {"ready": 0}
    c.run()


@story
def an_incident_of_the_cluster(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.look(2)
    c.world.weather = Incident(lost=3, running=7, latest=c.world.now)
    c.look(3)
    c.world.weight = 40
    c.look(2)
    c.world.fates = (Unready(pod="web-canary-0"),)
    c.look(4)
    c.world.fates = ()
    c.world.weather = type(c.world).weather
    c.look(4)


@story
def one_that_has_what_new_pods_need(c: Chronicle) -> None:
    c.world.exclusive = "the volume data is mounted by one pod"
    held(c)
    c.run()


@story
def somebody_moves_the_route(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.look(2)
    c.world.weight = 90
    c.look(3)
    c.world.of_split = {"even": False}
    c.look(2)
    c.world.of_split = {"confirmed": False}
    c.world.command(Command.ABORT)
    c.run()


@story
def queries_that_look_back(c: Chronicle) -> None:
    c.world.reach = 3 * MINUTE
    held(c)
    at_weight(c, 10)
    c.world.update("v3")
    c.run()


@story
def no_route_but_a_run(c: Chronicle) -> None:
    c.world.routes = 0
    held(c)
    c.run()


@story
def baked(c: Chronicle) -> None:
    steps = (*SHORT.steps[:1], replace(SHORT.steps[1], lasts=5 * MINUTE))
    held(c, replace(SHORT, steps=steps))
    c.run()
