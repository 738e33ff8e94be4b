"""Plays a plan of pushes over one app on a cluster, under traffic, and writes down what it sees."""

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from canary.model.hashing import template_hash
from tests.cluster.kit import Json, Kubectl, Traffic, wait_for
from tests.cluster.plans import Move, What, When
from tests.cluster.story import (
    Answer,
    Look,
    Push,
    Record,
    Version,
    has_ended,
    has_reached,
    told,
)

FIRST = "1.0"
ERRORS = ("0.2", "0.5")
"""Shares of the requests that a bad version may fail."""
PATIENCE = 120.0
"""Seconds within which every push must come to something: nothing stalls."""
_EVERY = 0.05


@dataclass
class Journal:
    """Every status of the Canary that is stored, as a watch tells of it."""

    kubectl: Kubectl
    clock: Callable[[], float]
    looks: list[Look] = field(default_factory=list)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch while the block runs."""
        process = subprocess.Popen(  # noqa: S603 - kubectl, with the test's own words
            self.kubectl.command("get", "canary", "web", "-w", "-o", 'jsonpath={@}{"\\n"}'),
            env={**os.environ, "KUBECONFIG": str(self.kubectl.kubeconfig)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        stdout = process.stdout
        reader = threading.Thread(target=lambda: self._read(stdout), daemon=True)
        reader.start()
        try:
            wait_for("the first look", lambda: self.looks, 30)
            yield
            assert process.poll() is None, "the watch on the Canary has ended"
        finally:
            process.terminate()
            process.wait(timeout=10)
            reader.join(timeout=10)
            stdout.close()

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.looks.append(_look(json.loads(line), self.clock()))


def _look(canary: Json, at: float) -> Look:
    status = canary.get("status") or {}
    condition: Json = next(iter(status.get("conditions") or ()), {})
    return Look(
        order=int(canary["metadata"]["resourceVersion"]),
        at=at,
        phase=status.get("phase") or "",
        candidate=status.get("lastAppliedSpec") or "",
        stable=status.get("lastPromotedSpec") or "",
        weight=int(status.get("canaryWeight") or 0),
        reason=condition.get("reason") or "",
        message=condition.get("message") or "",
    )


@dataclass
class Player:
    """Pushes versions over one app, as a team does."""

    kubectl: Kubectl
    traffic: Traffic
    journal: Journal
    chance: random.Random
    first: Version
    pushes: list[Push] = field(default_factory=list)
    _errors: dict[str, str] = field(default_factory=dict)
    _number: int = 0

    @property
    def record(self) -> Record:
        """What was seen so far."""
        answers = (
            Answer(at=at, status=status, version=text.rpartition(" ")[2] if status else text)
            for at, status, text in list(self.traffic.answers)
        )
        return Record(
            pushes=tuple(self.pushes),
            looks=tuple(self.journal.looks),
            answers=tuple(answers),
            first=self.first,
        )

    @property
    def _brief(self) -> Record:
        """The same without the answers, which are many."""
        return Record(
            pushes=tuple(self.pushes), looks=tuple(self.journal.looks), answers=(), first=self.first
        )

    def play(self, move: Move) -> None:
        """Push, scale if that is asked for, and wait for what ends the move."""
        self._push(move.what)
        scaling = self._scaling(move)
        self._wait(move)
        if scaling is not None:
            scaling.join()

    def rest(self) -> None:
        """Wait until the last push has its verdict and the canary is gone."""
        self._until("a verdict", lambda record, last: has_ended(last, record))
        wait_for(
            "the canary's end", lambda: not self.kubectl.find("deployment", "web-canary"), PATIENCE
        )

    # --- pushing -------------------------------------------------------------------------------

    def _push(self, what: What) -> None:
        name = self._chosen(what)
        before = self.pushes[-1].version.hash if self.pushes else self.first.hash
        at = self.traffic.now()
        patch = json.dumps(_patch(name, self._errors.get(name, "")))
        written = json.loads(self.kubectl("patch", "deployment", "web", "-o", "json", "-p", patch))
        found = template_hash(written["spec"]["template"])
        self.pushes.append(
            Push(
                version=Version(name=name, good=name not in self._errors, hash=found),
                order=int(written["metadata"]["resourceVersion"]),
                at=at,
                changed=found != before,
            )
        )

    def _chosen(self, what: What) -> str:
        """Return a version's name."""
        match what:
            case What.STABLE:
                return self._stable()
            case What.FORMER if former := self._former():
                return self.chance.choice(former)
            case What.AGAIN if self._errors:
                return list(self._errors)[-1]
            case What.BAD | What.AGAIN:
                self._number += 1
                bad = f"bad-{self._number}"
                self._errors[bad] = self.chance.choice(ERRORS)
                return bad
            case _:
                self._number += 1
                return f"good-{self._number}"

    def _names(self) -> dict[str, str]:
        named = {push.version.hash: push.version.name for push in self.pushes}
        return {**named, self.first.hash: self.first.name}

    def _stable(self) -> str:
        return self._names()[self.journal.looks[-1].stable or self.first.hash]

    def _former(self) -> list[str]:
        """Return the versions that served before, the present one left out."""
        names = self._names()
        served = dict.fromkeys(names[one.stable] for one in self.journal.looks if one.stable)
        return [name for name in served if name != self._stable()]

    def _scaling(self, move: Move) -> threading.Timer | None:
        if move.scale is None:
            return None
        scale = ("scale", "deployment/web", f"--replicas={move.scale}")
        timer = threading.Timer(move.scale_after, self.kubectl, scale)
        timer.start()
        return timer

    # --- waiting -------------------------------------------------------------------------------

    def _wait(self, move: Move) -> None:
        match move.when:
            case When.VERDICT:
                self._until("a verdict", lambda record, last: has_ended(last, record))
            case When.WEIGHT:
                self._until_reached("Progressing", move.weight)
            case When.PROMOTING:
                self._until_reached("Promoting")
            case When.FINALISING:
                self._until_reached("Finalising")
            case When.PAUSE:
                pass
        time.sleep(move.pause)

    def _until_reached(self, phase: str, weight: int = 0) -> None:
        self._until(
            f"{phase} at {weight} %, or a verdict",
            lambda record, last: (
                has_reached(last, record, phase, weight) or has_ended(last, record)
            ),
        )

    def _until(self, what: str, has: Callable[[Record, int], bool]) -> None:
        name = self.pushes[-1].version.name
        try:
            wait_for(
                f"{what} of {name}",
                lambda: has(self._brief, len(self.pushes) - 1),
                PATIENCE,
                _EVERY,
            )
        except AssertionError as late:
            raise AssertionError(f"{late}\n{told(self._brief)}") from late


def environment(version: str, errors: str = "") -> list[Json]:
    """Return what tells a version's pods how to behave; `errors` is the share that it fails."""
    share = [{"name": "ERROR_SHARE", "value": errors}] if errors else []
    return [{"name": "VERSION", "value": version}, *share]


def _patch(version: str, errors: str) -> Json:
    # The list as a whole: what the version before had set must not stay.
    env = [{"$patch": "replace"}, *environment(version, errors)]
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": env}]}}}}
