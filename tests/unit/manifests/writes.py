"""Writes that the webhook is to be asked about, and writes that never reach it."""

import json
from dataclasses import dataclass, field
from typing import Any

from canary.contract import (
    ANALYZER_USER,
    HOLD,
    OPT_OUT,
    REFUSED,
    REFUSED_WHY,
    SEEN,
    SPLIT,
    Command,
)

Json = dict[str, Any]

OTHER_USER = f"{ANALYZER_USER}-2"
BY_ANALYZER = (f"--as={ANALYZER_USER}",)
BY_OTHER = (f"--as={OTHER_USER}",)
TEAM = "example.com/team"


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch of one of the objects below, with further options of kubectl."""

    name: str
    patch: Json
    options: tuple[str, ...] = field(default=())

    def command(self, kind: str) -> tuple[str, ...]:
        """Give the arguments of kubectl."""
        merge = ("--type=merge", "-p", json.dumps(self.patch))
        return ("patch", kind, self.name, *merge, *self.options)


def pod(image: str = "web:1", labels: Json | None = None, notes: Json | None = None) -> Json:
    """Give a template patch: the only container, and labels and annotations to add."""
    return {
        "template": {
            "metadata": {"labels": labels or {}, "annotations": notes or {}},
            "spec": {"containers": [{"name": "web", "image": image}]},
        }
    }


def spec(**fields: Any) -> Json:
    return {"spec": fields}


def notes(**values: Any) -> Json:
    return {"metadata": {"annotations": values}}


def deployment(name: str, *, paused: bool = False, marks: Json | None = None) -> Json:
    """Give a Deployment without pods, so that nothing moves while it is looked at."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": marks or {}},
        "spec": {
            "replicas": 0,
            "paused": paused,
            "selector": {"matchLabels": labels},
            **pod(labels=labels),
        },
    }


MARKS = {HOLD: "5f7c", Command.PAUSE.value: "now", TEAM: "shop"}
DEPLOYMENTS = (
    deployment("plain", marks={TEAM: "shop"}),
    deployment("paused", paused=True, marks={TEAM: "shop"}),
    deployment("held", paused=True, marks=MARKS),
    # Without a single annotation: nothing runs that would give it a revision once it is paused.
    deployment("bare", paused=True),
)

NEW = pod("web:2")
ASKED: dict[str, Patch] = {
    "image": Patch("plain", spec(**NEW)),
    "pod annotation": Patch("plain", spec(**pod(notes={"restartedAt": "now"}))),
    "pod label": Patch("plain", spec(**pod(labels={"tier": "front"}))),
    "image and replicas": Patch("plain", spec(**NEW, replicas=3)),
    "image and pause": Patch("plain", spec(**NEW, paused=True)),
    "image of a paused target": Patch("paused", spec(**NEW)),
    "image of a held target": Patch("held", spec(**NEW)),
    "image by somebody of a similar name": Patch("plain", spec(**NEW), BY_OTHER),
    "resume by false": Patch("paused", spec(paused=False)),
    "resume by leaving it out": Patch("paused", spec(paused=None)),
    "resume of a held target": Patch("held", spec(paused=None)),
    "command": Patch("plain", notes(**{Command.PROMOTE: "now"})),
    "command as the first annotation": Patch("bare", notes(**{Command.PROMOTE: "now"})),
    "empty command": Patch("bare", notes(**{Command.PROMOTE: ""})),
    "command changed": Patch("held", notes(**{Command.PAUSE: "later"})),
    "command taken back": Patch("held", notes(**{Command.PAUSE: None})),
    "hold changed": Patch("held", notes(**{HOLD: "other"})),
    "hold removed": Patch("held", notes(**{HOLD: None})),
    "all annotations removed": Patch("held", {"metadata": {"annotations": None}}),
    "opt out": Patch("plain", notes(**{OPT_OUT: "disabled"})),
}
NEVER_ASKED: dict[str, Patch] = {
    "nothing": Patch("plain", {}),
    "nothing on a held target": Patch("held", {}),
    "same template, written short": Patch("plain", spec(**pod())),
    "replicas": Patch("plain", spec(replicas=3)),
    "replicas of a held target": Patch("held", spec(replicas=3)),
    "scale": Patch("held", spec(replicas=2), ("--subresource=scale",)),
    "label": Patch("plain", {"metadata": {"labels": {"team": "shop"}}}),
    "label of a held target": Patch("held", {"metadata": {"labels": {"team": "shop"}}}),
    "annotation of others": Patch("plain", notes(**{"example.com/x": "x"})),
    "annotation of others as the first": Patch("bare", notes(**{"example.com/x": "x"})),
    "annotation of others changed": Patch("held", notes(**{TEAM: "sales"})),
    "annotation of others removed": Patch("held", notes(**{TEAM: None})),
    "annotation of a longer domain": Patch("plain", notes(**{"headgate.dev.io/hold": "x"})),
    "annotation of a subdomain": Patch("plain", notes(**{"x.headgate.dev/hold": "x"})),
    "revision, by the controller": Patch(
        "plain", notes(**{"deployment.kubernetes.io/revision": "9"})
    ),
    "same command again": Patch("held", notes(**{Command.PAUSE: "now"})),
    "pause by the team": Patch("plain", spec(paused=True)),
    "pause of a paused target": Patch("paused", spec(paused=True)),
    "no pause on a running target": Patch("plain", spec(paused=False)),
    "strategy": Patch("plain", spec(strategy={"rollingUpdate": {"maxSurge": 2}})),
    "recreate": Patch("plain", spec(strategy={"type": "Recreate", "rollingUpdate": None})),
    "limits of a rollout": Patch(
        "plain", spec(revisionHistoryLimit=1, progressDeadlineSeconds=9, minReadySeconds=1)
    ),
    "status": Patch("plain", {"status": {"observedGeneration": 9}}, ("--subresource=status",)),
    "status of a held target": Patch(
        "held", {"status": {"observedGeneration": 9}}, ("--subresource=status",)
    ),
    "image by the analyzer": Patch("plain", spec(**NEW), BY_ANALYZER),
    "resume by the analyzer": Patch("held", spec(paused=False), BY_ANALYZER),
    "hold by the analyzer": Patch("plain", notes(**{HOLD: "5f7c"}), BY_ANALYZER),
}

CREATIONS_ASKED: dict[str, Json] = {
    "a copy of a held target": deployment("copy", paused=True, marks=MARKS),
    "a refused version": deployment("copy", marks={REFUSED: "5f7c", REFUSED_WHY: "slow"}),
    "a command": deployment("copy", marks={Command.PROMOTE.value: "now"}),
    "a clone without a name": {
        **deployment("copy", marks=MARKS),
        "metadata": {"generateName": "copy-", "annotations": MARKS},
    },
}
CREATIONS_NEVER_ASKED: dict[str, Json] = {
    "plain": deployment("fresh", marks={TEAM: "shop"}),
    "without an annotation": deployment("fresh"),
    "paused by its team": deployment("fresh", paused=True),
    "opted out": deployment("fresh", marks={OPT_OUT: "disabled"}),
    "an idle target of another namespace": deployment("fresh", marks={SEEN: "5f7c"}),
    "a longer domain": deployment("fresh", marks={"headgate.dev.io/hold": "x"}),
}


def route(name: str, marks: Json | None = None) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "annotations": marks or {}},
        "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    }


BACKENDS = spec(rules=[{"backendRefs": [{"name": "web-2", "port": 80}]}])
ROUTES = (route("plain", {TEAM: "shop"}), route("split", {SPLIT: "{}"}), route("bare"))
ROUTES_ASKED: dict[str, Patch] = {
    "backends of a split route": Patch("split", BACKENDS),
    "split removed": Patch("split", notes(**{SPLIT: None})),
    "all annotations of a split route removed": Patch("split", {"metadata": {"annotations": None}}),
    "label of a split route": Patch("split", {"metadata": {"labels": {"team": "shop"}}}),
    "backends of a split route by the analyzer": Patch("split", BACKENDS, BY_ANALYZER),
    "split changed by the analyzer": Patch("split", notes(**{SPLIT: "{ }"}), BY_ANALYZER),
    "split added by the analyzer": Patch("plain", notes(**{SPLIT: "{}"}), BY_ANALYZER),
    "split as the first annotation": Patch("bare", notes(**{SPLIT: "{}"})),
}
ROUTES_NEVER_ASKED: dict[str, Patch] = {
    "backends": Patch("plain", BACKENDS),
    "backends of a route without annotations": Patch("bare", BACKENDS),
    "status of a split route": Patch(
        "split", {"status": {"parents": []}}, ("--subresource=status",)
    ),
    "annotation of others": Patch("bare", notes(**{TEAM: "shop"})),
    "annotation of ours that is no split": Patch("plain", notes(**{HOLD: "5f7c"})),
}
