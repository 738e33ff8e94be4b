"""What is asked and dealt out for many runs comes to the same beside the loop as in it."""

import threading

import pytest

from analyzer.gathering.dealing import dealt, queries_of
from analyzer.gathering.followed import Followed
from analyzer.gathering.limits import MANY_RUNS
from analyzer.gathering.pace import Pace
from analyzer.gathering.rhythm import Rhythm
from canary.counting.series import Series, merged
from canary.measuring.demand import Demand, Wanted, shares, together
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors
from canary.model.values import Key
from tests.fakes.evidence import BEGAN, SERVER, SUCCESS, counted, watch


def asked_for(runs: int) -> Demand[Followed]:
    found = []
    for number in range(runs):
        key = Key(namespace="prod", name=f"web-{number}")
        run = Run.start(watch(counted(SUCCESS, key=key), key=key), BEGAN, 15.0)
        one = Followed(run=run, specs={}, rhythm=Rhythm(Pace(), 0))
        selectors = tuple(server_selectors(run.ways(run.metrics[0])))
        found.append(Wanted(one, SUCCESS.name, SERVER, selectors))
    (asked,) = (it for it in together(found) if len(it.runs) == runs)
    return asked


@pytest.mark.parametrize("runs", [1, MANY_RUNS, MANY_RUNS + 1])
async def test_it_comes_to_the_same(runs: int) -> None:
    asked = asked_for(runs)
    labels = {"__name__": "envoy_cluster_upstream_rq", "envoy_response_code": "200"}
    answer = [
        Series({**labels, "envoy_cluster_name": f"prod_web-{number}{side}_80"}, 1.0)
        for number in range(runs)
        for side in ("", "-canary")
    ]

    assert await queries_of(asked) == merged(asked.selectors)
    found = await dealt(asked, answer)
    assert found == list(shares(asked, answer))
    assert [len(own) for _, _, own in found] == [2] * runs
    assert threading.active_count() >= 1 + (runs > MANY_RUNS)
