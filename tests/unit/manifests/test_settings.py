"""Every setting that a process reads is documented where the admin looks for it."""

import re
from collections.abc import Iterator

import pytest

from analyzer.settings import read_settings as read_analyzer_settings
from canary.contract import ANALYZER_USER
from loadtester.settings import TABLE as LOAD_TESTER
from loadtester.settings import read_settings as read_load_tester_settings
from tests.unit.manifests.installation import MANIFESTS, REPOSITORY, the
from webhook.settings import read_settings as read_webhook_settings

CONFIGMAP = the("ConfigMap", "headgate")
TEXT = (MANIFESTS / "configmap.yaml").read_text()
SETTING = re.compile(r"\bHEADGATE_[A-Z_]*[A-Z]\b")
PROCESSES = ("webhook", "analyzer", "certs")
PLACES = (*PROCESSES, "runtime", "canary")


def in_the_code() -> Iterator[str]:
    for place in PLACES:
        for path in sorted((REPOSITORY / place).rglob("*.py")):
            yield from SETTING.findall(path.read_text())


def environment(deployment: str) -> dict[str, str | None]:
    (container,) = the("Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    return {it["name"]: it.get("value") for it in container["env"]}


def test_settings_of_the_deployments_are_documented() -> None:
    named = {
        name
        for process in PROCESSES
        for name in environment(f"headgate-{process}")
        if name.startswith("HEADGATE_")
    }

    assert named <= set(SETTING.findall(TEXT))


def test_settings_of_the_code_are_documented() -> None:
    assert set(in_the_code()) <= set(SETTING.findall(TEXT))


@pytest.mark.parametrize("name", CONFIGMAP["data"])
def test_setting_has_a_comment_of_its_own(name: str) -> None:
    before, _, _ = TEXT.partition(f"\n  {name}:")

    assert before.splitlines()[-1].lstrip().startswith("# ")


def test_defaults_are_the_careful_ones() -> None:
    assert CONFIGMAP["data"] == {
        "HEADGATE_LOG_LEVEL": "info",
        "HEADGATE_ALLOW_OPT_OUT": "false",
        "HEADGATE_METRICS_SERVER": "http://prometheus.monitoring:9090",
        "HEADGATE_ALLOWED_ADDRESSES": "",
        "HEADGATE_CROSS_NAMESPACE_REFS": "false",
        "HEADGATE_UNPARSED_QUERIES": "refuse",
        "HEADGATE_ALERT_PROVIDER": "",
        "HEADGATE_ALERT_SEVERITY": "info",
        "HEADGATE_CLUSTER_NAME": "",
        "HEADGATE_EVENT_WEBHOOK": "",
        "HEADGATE_INGRESS_ANNOTATIONS_PREFIX": "nginx.ingress.kubernetes.io",
        "HEADGATE_BUILTIN_SOURCES": "",
        "HEADGATE_DRAIN": "5s",
        "HEADGATE_MIN_INTERVAL": "10s",
        "HEADGATE_ON_UNSUITABLE": "hold",
        "HEADGATE_EVIDENCE": "on",
        "HEADGATE_EVIDENCE_ALPHA": "1",
        "HEADGATE_EVIDENCE_BETA": "5",
        "HEADGATE_PROMOTION_GATE": "none",
        "HEADGATE_SHARE_BY_PODS": "off",
        "HEADGATE_EVIDENCE_INTERVAL": "2s",
        "HEADGATE_METRICS_SCRAPE_INTERVAL": "15s",
        "HEADGATE_DEFAULT_STEP_WEIGHTS": "5,10,25,50",
        "HEADGATE_DEFAULT_INTERVAL": "30s",
        "HEADGATE_DEFAULT_THRESHOLD": "3",
        "HEADGATE_DEFAULT_MIN_SUCCESS_RATE": "99",
        "HEADGATE_DEFAULT_MAX_DURATION_MS": "500",
    }


def test_defaults_of_the_code_are_the_same() -> None:
    data = CONFIGMAP["data"]

    assert read_webhook_settings(data) == read_webhook_settings({})
    assert read_analyzer_settings(data) == read_analyzer_settings({})


@pytest.mark.parametrize("process", PROCESSES)
def test_process_takes_its_settings_from_the_configmap(process: str) -> None:
    (container,) = the("Deployment", f"headgate-{process}")["spec"]["template"]["spec"][
        "containers"
    ]
    fixed = {it["name"] for it in container["env"]}

    assert container["envFrom"] == [{"configMapRef": {"name": "headgate"}}]
    assert not fixed & set(CONFIGMAP["data"])


def test_webhook_knows_the_analyzer_as_the_contract_does() -> None:
    assert environment("headgate-webhook")["HEADGATE_ANALYZER_USER"] == ANALYZER_USER


def test_load_tester_shows_all_its_settings_and_their_defaults() -> None:
    shown = {key: value or "" for key, value in environment("flagger-loadtester").items()}
    shown["POD_NAMESPACE"] = "prod"

    assert read_load_tester_settings(shown) == read_load_tester_settings({"POD_NAMESPACE": "prod"})
    assert {setting.variable for setting in LOAD_TESTER} - {"PATH"} == set(shown)


@pytest.mark.parametrize("process", ["analyzer", "certs"])
def test_process_knows_where_it_runs(process: str) -> None:
    (container,) = the("Deployment", f"headgate-{process}")["spec"]["template"]["spec"][
        "containers"
    ]
    paths = {
        it["name"]: it["valueFrom"]["fieldRef"]["fieldPath"]
        for it in container["env"]
        if "valueFrom" in it
    }

    assert paths == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
