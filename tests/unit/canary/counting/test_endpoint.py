"""Where a pod's metrics page is, and nowhere else."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.endpoint import endpoint_of


def pod(
    annotations: dict[str, Any] | None = None,
    *ports: dict[str, Any],
    ip: Any = "10.0.0.7",
    phase: str = "Running",
) -> dict[str, Any]:
    return {
        "metadata": {
            "annotations": {f"prometheus.io/{k}": v for k, v in (annotations or {}).items()}
        },
        "spec": {"containers": [{"name": "a"}, {"name": "b", "ports": list(ports)}]},
        "status": {"podIP": ip, "phase": phase},
    }


def port(name: str, number: Any) -> dict[str, Any]:
    return {"name": name, "containerPort": number}


SCRAPED = {"scrape": "true", "port": "9102"}


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (pod(SCRAPED), "http://10.0.0.7:9102/metrics"),
        (pod({**SCRAPED, "path": "/stats/prometheus?x=1"}), "http://10.0.0.7:9102/stats/prometheus?x=1"),
        (pod({**SCRAPED, "scheme": "https"}), "https://10.0.0.7:9102/metrics"),
        (pod(SCRAPED, ip="fd00::7"), "http://[fd00::7]:9102/metrics"),
        (pod({"scrape": "true"}, port("metrics", 80)), "http://10.0.0.7:80/metrics"),
        (pod({"scrape": "true"}, port("http", 80)), None),
        (pod({}, port("http", 80), port("metrics", 81)), "http://10.0.0.7:81/metrics"),
        (pod({}, port("monitoring", 80), port("http-metrics", 81)), "http://10.0.0.7:81/metrics"),
        (pod({}, port("prometheus", 80)), "http://10.0.0.7:80/metrics"),
        (pod({}, port("http", 80)), None),
        (pod({"scrape": "false"}, port("metrics", 81)), None),
        (pod({"port": "9102"}), None),
        (pod(SCRAPED, phase="Pending"), None),
        (pod(SCRAPED, ip=None), None),
        (pod(SCRAPED, ip="evil.example"), None),
        (pod(SCRAPED, ip=7), None),
        (pod({**SCRAPED, "scheme": "file"}), None),
        ({}, None),
        ({"metadata": None, "spec": [], "status": "x"}, None),
        ({"spec": {"containers": [1]}, "status": {"podIP": "1.2.3.4", "phase": "Running"}}, None),
    ],
)  # fmt: skip
def test_endpoint(found: dict[str, Any], url: str | None) -> None:
    assert endpoint_of(found) == url


@pytest.mark.parametrize(
    "written", ["", "0", "65536", "-1", "80 ", "http", "8_0", "٨٠", "80@evil", "1" * 9, None, 8.0]
)
def test_a_malformed_port_is_none(written: Any) -> None:
    assert endpoint_of(pod({"scrape": "true", "port": written})) is None


@pytest.mark.parametrize(
    "written",
    ["", "metrics", "@evil.example/", "/a b", "/a\n", "/#x", "/\\evil", ".evil/", 7, None],
)
def test_a_malformed_path_is_none(written: Any) -> None:
    assert endpoint_of(pod({**SCRAPED, "path": written})) is None


@given(path=st.text(), number=st.text(), scheme=st.text() | st.just("https"))
def test_no_annotation_points_away_from_the_pod(path: str, number: str, scheme: str) -> None:
    for written in ({"path": "/" + path}, {"path": path}, {"port": number}, {"scheme": scheme}):
        url = endpoint_of(pod({**SCRAPED, **written}))
        if url is not None:
            split = urlsplit(url)
            assert (split.hostname, split.username) == ("10.0.0.7", None)
