"""`make demo`: the main job from nothing, shown as it happens."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import control_plane, paths, shell
from sandbox.report import SandboxError, say, step

Json = dict[str, Any]

MAIN_JOB = Path(__file__).resolve().parent / "mainjob"
MANIFESTS = paths.CHECKOUT / "manifests"
NAMESPACE = "prod"
HOST = "web.example"
OK, ERROR = 200, 500
LONGEST_RELEASE = 300.0
"""Seconds after which a release that has no verdict is given up."""
INTERVAL = "5s"
"""Shorter than the product allows by default, so that nobody waits for minutes in a demo."""
FIRST, GOOD, BAD = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:bad"
PROCESSES = ("headgate-certs", "headgate-webhook", "headgate-analyzer")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl on the sandbox."""
    what = f"kubectl {' '.join(arguments[:3])}"
    return shell.output([*control_plane.kubectl(), *arguments], what=what, stdin=stdin)


def run() -> None:
    """Install Headgate, then a good and a bad release under traffic."""
    with step("Headgate is installed"):
        install()
    with step("the team's Deployment, Service, HTTPRoute and Canary are there"):
        set_up()
    with traffic() as seen:
        say(f"\nA good release: kubectl -n {NAMESPACE} set image deployment/web web={GOOD}")
        release(GOOD, seen)
        say(f"\nA bad release (20 % of its answers are 500): web={BAD}")
        release(BAD, seen)
    verdict()


def install() -> None:
    """Install from the manifests that users apply, with the demo's shorter interval."""
    objects = list(yaml.safe_load_all(kubectl("kustomize", str(MANIFESTS))))
    for obj in objects:
        if obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == "headgate":
            obj["data"] = {**(obj.get("data") or {}), "HEADGATE_MIN_INTERVAL": INTERVAL}
    text = yaml.safe_dump_all(objects)
    system = ("-n", "headgate-system")
    before = kubectl(*system, "get", "deployments", "-o", "name", "--ignore-not-found")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    for name in before.split():
        # A pod of an image that was made anew under its old name is the old one until it restarts.
        kubectl(*system, "rollout", "restart", name)
    for name in PROCESSES:
        kubectl(*system, "rollout", "status", f"deployment/{name}", "--timeout=180s")
    shell.wait_for(_certified, what="the webhook's certificate", seconds=60, log=None)


def _certified() -> bool:
    path = "{.webhooks[0].clientConfig.caBundle}"
    found = kubectl("get", "mutatingwebhookconfiguration", "headgate", "-o", f"jsonpath={path}")
    return bool(found)


def set_up() -> None:
    """Make namespace, load tester and the main job's objects; wait until the route serves."""
    metadata = {"name": NAMESPACE, "labels": {"headgate.dev/canary": "enabled"}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    # What an earlier demo left may still be held: it starts from the beginning.
    kubectl("-n", NAMESPACE, "delete", "deployment/web", "canary/web", "--ignore-not-found")
    kubectl("-n", NAMESPACE, "apply", "-k", str(MANIFESTS / "loadtester"))
    kubectl("apply", "-f", str(MAIN_JOB / "app.yaml"))
    canary = (MAIN_JOB / "canary.yaml").read_text(encoding="utf-8")
    kubectl(
        "apply", "-f", "-", stdin=canary.replace("    interval: 1m", f"    interval: {INTERVAL}")
    )
    for name in ("flagger-loadtester", "web"):
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=120s")
    shell.wait_for(lambda: answer()[0] == OK, what="the route", seconds=60, log=None)


# --- traffic ------------------------------------------------------------------------------------


def gateway() -> str:
    """Return the address of the gateway's proxy."""
    path = "jsonpath={.spec.clusterIP}"
    return kubectl("-n", "projectcontour", "get", "service", "envoy", "-o", path)


_address: list[str] = []


def answer() -> tuple[int, str]:
    """Send one request through the gateway and return status and body; 0 for no answer."""
    if not _address:
        _address.append(gateway())
    url = f"http://{_address[0]}/"
    request = urllib.request.Request(url, headers={"Host": HOST})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - ours
            return response.status, response.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


@dataclass
class Seen:
    """What users have seen since the last line that was shown."""

    statuses: Counter[int] = field(default_factory=Counter)

    def line(self) -> str:
        """Tell it and start anew."""
        now, self.statuses = self.statuses, Counter()
        wrong = sum(count for status, count in now.items() if status >= ERROR)
        lost = now.get(0, 0)
        return f"{sum(now.values()):4d} requests, {wrong:3d} errors, {lost} lost"


@contextmanager
def traffic() -> Iterator[Seen]:
    """Send about forty requests a second while the context lasts."""
    seen, stop = Seen(), threading.Event()

    def send() -> None:
        while not stop.is_set():
            status, _ = answer()
            seen.statuses[status] += 1
            stop.wait(0.1)

    threads = [threading.Thread(target=send, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# --- releases -----------------------------------------------------------------------------------


def release(image: str, seen: Seen) -> None:
    """Set an image as a user does and show the run until its verdict."""
    printed = subprocess.run(
        [str(part) for part in control_plane.kubectl()]
        + ["-n", NAMESPACE, "set", "image", "deployment/web", f"web={image}"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in (printed.stdout + printed.stderr).splitlines():
        say(f"  | {line}")
    started, shown = time.monotonic(), ""
    while time.monotonic() - started < LONGEST_RELEASE:
        status = _status()
        now = _row(status)
        if now != shown:
            shown = now
            say(f"  {time.monotonic() - started:5.1f} s  {now}  | users: {seen.line()}")
        if status.get("phase") in {"Succeeded", "Failed"} and _is_over():
            return
        time.sleep(0.3)
    raise SandboxError("the release did not end within 300 s: kubectl -n prod describe canary web")


def _status() -> Json:
    found: Json = json.loads(kubectl("-n", NAMESPACE, "get", "canary", "web", "-o", "json"))
    return dict(found.get("status") or {})


def _is_over() -> bool:
    return not kubectl("-n", NAMESPACE, "get", "deployment", "web-canary", "--ignore-not-found")


def _row(status: Json) -> str:
    checks = (status.get("run") or {}).get("checks") or []
    figures = ", ".join(
        f"{check['name']} {check['value']:.4g}/{check['bound']:g}"
        for check in checks
        if "value" in check and "bound" in check and check["name"] != "canary-health"
    )
    phase, weight = status.get("phase", ""), status.get("canaryWeight", 0)
    return f"{phase:<12} weight {weight:>3}  {figures or 'nothing measured yet'}"


def verdict() -> None:
    """Show what a user would look at, and where to go on."""
    described = kubectl("-n", NAMESPACE, "describe", "canary", "web")
    say("\nkubectl -n prod describe canary web:")
    for line in described.splitlines():
        if "Rolling back" in line and "Message:" not in line:
            say(f"  {line.strip()}")
    pods = kubectl("-n", NAMESPACE, "get", "pods", "-l", "app=web", "-o", _images())
    say(f"\nThe stable version serves on: {sorted(set(pods.split()))}")
    say(
        f"\nGo on by yourself:\n"
        f"  export KUBECONFIG={paths.KUBECONFIG}\n"
        f"  {sys.executable} -m kubectl_headgate explain web -n {NAMESPACE}\n"
        f"  kubectl -n {NAMESPACE} get canary web -w\n"
        f"  kubectl -n {NAMESPACE} set image deployment/web web=headgate/demo:1.2\n"
        f"  curl -H 'Host: {HOST}' http://{gateway()}/\n"
        f"Then read README.md, and end it all with: make sandbox-down"
    )


def _images() -> str:
    return "jsonpath={.items[*].spec.containers[*].image}"
