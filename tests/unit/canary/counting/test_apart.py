"""A query for the stable that reads the canary's pods too says nothing of the stable alone."""

import pytest

from canary.counting.apart import tells_apart


@pytest.mark.parametrize(
    ("template", "apart"),
    [
        ('up{app="@"}', True),
        ('up{pod=~"@-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"}', True),
        ('up{kubernetes_pod_name=~"@-[^-]+-[^-]+"}', True),
        ('up{pod=~"@-.+"}', False),
        ('up{pod=~"@.*"}', False),
        ('up{pod!~"@-.+"}', False),
        ('up{deployment=~"@.*"}', False),
        ('up{deployment=~"@"}', True),
        ('up{envoy_cluster_name="prod_@_80"}', True),
        ('up{envoy_cluster_name=~"prod_@_.*"}', True),
        ('up{envoy_cluster_name=~"prod_@.*"}', False),
        ('up{envoy_cluster_name=~".*_@.*"}', False),
        ('sum(rate(bad{app="@"}[1m])) / sum(rate(all{pod=~"@-.+"}[1m]))', False),
        ('up{app="web"}', False),
        ("up{", False),
    ],
)
def test_whether_the_stables_query_leaves_the_canary_out(template: str, *, apart: bool) -> None:
    ours, theirs = template.replace("@", "web-canary"), template.replace("@", "web")
    assert tells_apart(ours, theirs, workload="web-canary", target="web") is apart
