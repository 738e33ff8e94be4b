"""Headgate's alert rules: what they ask for is exported, and a real Prometheus fires them."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import unused_port
from prometheus_client import CollectorRegistry, generate_latest

from analyzer.__main__ import build, elector_of
from analyzer.addresses import Guard
from analyzer.settings import Settings
from runtime.kube import Cluster
from runtime.probes import serve
from sandbox.paths import cache

ROOT = Path(__file__).parents[3]
RULES = ROOT / "manifests" / "alerts" / "rules.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
BINARIES = sorted(cache().glob("bin/prometheus-*/prometheus"))
NAMED = re.compile(r"headgate_\w+")
KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
WELL = """
headgate_holds_without_run 0
headgate_analyzer_leader{pod="a"} 1
headgate_analyzer_leader{pod="b"} 0
headgate_watch_silence_seconds{resource="deployments"} 30
headgate_certificate_expiration_timestamp_seconds 9e9
headgate_questions_waiting{kind="hook"} 0
headgate_events_total{reason="UngatedUpdate",type="Warning"} 0
"""
ILL = """
headgate_holds_without_run 2
headgate_analyzer_leader{pod="a"} 0
headgate_watch_silence_seconds{resource="deployments"} 301
headgate_certificate_expiration_timestamp_seconds 1
headgate_questions_waiting{kind="hook"} 3
headgate_events_total{reason="UngatedUpdate",type="Warning"} %d
"""


async def webhook_metrics(folder: Path) -> str:
    """Return the page of a real webhook, which has no certificate yet."""
    port = unused_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HEADGATE_PORT": str(unused_port()),
        "HEADGATE_PROBES_PORT": str(port),
        "HEADGATE_TLS_CERT": str(folder / "tls.crt"),
        "HEADGATE_TLS_KEY": str(folder / "tls.key"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "webhook", env=environment, stderr=subprocess.DEVNULL
    )
    try:
        return await answered(f"http://127.0.0.1:{port}/metrics", bool)
    finally:
        process.kill()
        await process.wait()


async def analyzer_metrics(folder: Path) -> str:
    """Return the page of an analyzer whose parts are wired and do nothing yet."""
    (folder / "kubeconfig").write_text(KUBECONFIG)
    registry, settings = CollectorRegistry(), Settings()
    async with (
        Cluster.connect(folder / "kubeconfig") as cluster,
        build(settings, cluster, registry, Guard()),
    ):
        elector_of(settings, cluster, registry)
        return generate_latest(registry).decode()


async def answered(url: str, enough: Callable[[str], bool]) -> str:
    """Ask until an answer is enough, within the test's time."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    text = await answer.text()
                if enough(text):
                    return text
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def test_every_metric_of_the_rules_is_exported_from_the_start(tmp_path: Path) -> None:
    pages = await webhook_metrics(tmp_path) + await analyzer_metrics(tmp_path)
    exported = set(re.findall(r"^(headgate_\w+)[{ ]", pages, re.MULTILINE))

    wanted = {name for rule in ALERTS for name in NAMED.findall(rule["expr"])}
    assert wanted - exported == set()
    told = {name for rule in ALERTS for name in NAMED.findall(str(rule["annotations"]))}
    families = set(re.findall(r"^# TYPE (headgate_\w+)", pages, re.MULTILINE))
    assert told - families == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Headgate")
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "action"}


@asynccontextmanager
async def prometheus(folder: Path, page: Callable[[], str]) -> AsyncIterator[str]:
    """Run a Prometheus with the rules, which do not wait, over a page; give its address."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule.pop("for", None)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=page())

    app = web.Application()
    app.router.add_get("/metrics", show)
    async with serve(app, port=0, host="127.0.0.1") as target:
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\n"
            "rule_files: [rules.yaml]\n"
            "scrape_configs:\n"
            f"- {{job_name: all, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
        )
        address = f"127.0.0.1:{unused_port()}"
        process = await asyncio.create_subprocess_exec(
            str(BINARIES[-1]),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            await process.wait()


def states(text: str) -> dict[str, str]:
    """Return health and state of every rule once all were evaluated over a scrape."""
    try:
        groups = yaml.safe_load(text)["data"]["groups"]
    except (TypeError, KeyError):
        return {}
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule["name"]: f"{rule['health']} {rule['state']}" for rule in rules}


REAL = pytest.mark.skipif(not BINARIES, reason=f"no Prometheus in {cache()}/bin")


@REAL
async def test_a_real_prometheus_fires_every_rule_where_all_is_ill(tmp_path: Path) -> None:
    calls = 0

    def page() -> str:
        nonlocal calls
        calls += 1
        return ILL % calls

    fired = {rule["alert"]: "ok firing" for rule in ALERTS}
    async with prometheus(tmp_path, page) as address:
        await answered(f"{address}/api/v1/rules", lambda text: states(text) == fired)


@REAL
async def test_a_real_prometheus_fires_none_where_all_is_well(tmp_path: Path) -> None:
    quiet = {rule["alert"]: "ok inactive" for rule in ALERTS}
    calls = 0

    def page() -> str:
        nonlocal calls
        calls += 1
        return WELL

    async with prometheus(tmp_path, page) as address:
        await answered(f"{address}/api/v1/rules", lambda text: calls > 5 and states(text) == quiet)
