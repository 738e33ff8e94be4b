"""A query is rendered as it was meant where its names cannot mean anything else."""

import promql_parser as promql
import pytest

from canary.counting.mending import for_canary, for_stable
from canary.counting.rewriting import as_text, conditions_of
from canary.counting.series import Matcher
from canary.counting.versions import Reads, Version, Versions, read_by
from canary.model.names import canary_name, pod_names

FLAGGER = "[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"


def versions(target: str = "web", service: str = "web") -> Versions:
    return Versions(
        namespace="prod",
        canary=Version(workload=canary_name(target), service=canary_name(service)),
        stable=Version(workload=target, service=service),
    )


def conditions(query: str) -> tuple[Matcher, ...]:
    vector = promql.parse(query)
    assert isinstance(vector, promql.VectorSelector)
    return conditions_of(vector)


def fits(query: str, pod: str) -> bool:
    return all(one.accepts(pod) for one in conditions(query))


@pytest.mark.parametrize("length", [3, 39, 40, 43, 46, 47, 50, 51, 57, 58, 63, 100])
@pytest.mark.parametrize("pattern", [FLAGGER, f"{FLAGGER}?", "[^-]+-[^-]+", ".+", ".*"])
def test_patterns_for_pods_fit_all_of_their_version_and_none_of_the_other(
    length: int, pattern: str
) -> None:
    target = ("a-name-" * 20)[: length - 1] + "z"
    both = versions(target, "web")
    canary = for_canary(f'up{{pod=~"{canary_name(target)}-{pattern}"}}', both)
    stable = for_stable(f'up{{pod=~"{target}-{pattern}"}}', both)
    for pod in pod_names(canary_name(target)):
        assert fits(canary, pod)
        assert not fits(stable, pod)
    for pod in pod_names(target):
        assert fits(stable, pod)
        assert not fits(canary, pod)
    assert read_by(canary, both).reads is Reads.CANARY
    assert read_by(stable, both).reads is Reads.STABLE


@pytest.mark.parametrize(
    "query",
    [
        'up{pod=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}',
        'sum(\n  rate(x{app="web-canary", pod=~"web-canary-.*"}[1m])\n) # all of them',
        "up",
        'up{pod=~"("}',
        "SELECT 1",
    ],
)
def test_what_means_what_it_says_stays_as_it_is_written(query: str) -> None:
    assert for_canary(query, versions()) == query


def test_a_container_is_called_alike_in_both_versions() -> None:
    query = 'cpu{pod=~"web-canary-.+",container="web-canary"}'
    mended = for_canary(query, versions())
    assert mended == 'cpu{container="web",pod=~"web-canary-.+"}'
    assert read_by(mended, versions()).reads is Reads.CANARY


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        ('up{app="web-canary"}', 'up{app="web"}'),
        ('up{cluster_of="x",service="front-canary"}', 'up{cluster_of="x",service="front"}'),
        ('up{cluster_name_of=~"prod_front-canary_.+"}', 'up{cluster_name_of=~"prod_front_.+"}'),
        ('up{pod=~"web-canary-[^-]+-[^-]+"}', 'up{pod=~"web-[^-]+-[^-]+"}'),
        ('up{pod=~"web-canary-.+"}', 'up{pod!~"web-canary-.+",pod=~"web-.+"}'),
    ],
)  # fmt: skip
def test_where_the_canarys_names_are_written_out_the_stables_query_has_the_stables(
    canary: str, stable: str
) -> None:
    both = versions(service="front")
    mended = for_stable(canary, both)
    assert as_text(promql.parse(mended)) == as_text(promql.parse(stable))
    assert read_by(mended, both).reads is Reads.STABLE
