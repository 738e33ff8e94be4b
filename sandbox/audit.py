"""What Headgate's accounts ask of the API server, to be held against what they are granted.

The API server writes a line for each of their requests: who, which verb, of which kind. Nothing of
what is in them.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sandbox import paths

POLICY = paths.STATE / "audit-policy.yaml"
LOG = paths.LOGS / "audit.log"
NAMESPACE = "headgate-system"
ACCOUNTS = ("headgate-analyzer", "headgate-certs", "headgate-webhook")
_USER = "system:serviceaccount:{}:"
EVERY = "*"
"""Stands for all kinds of a group, where nobody can list them."""
ANALYZER = _USER.format(NAMESPACE) + ACCOUNTS[0]
_MEGABYTES = 100


class Right(NamedTuple):
    """One verb that an account has on one kind; `resource` has its subresource with it."""

    account: str
    group: str
    resource: str
    verb: str


def flags(policy_file: Path = POLICY, log: Path = LOG, *others: str) -> list[str]:
    """Write the policy, and return the API server's flags for it.

    Args:
        policy_file: where to.
        log: the log's file.
        others: users beside Headgate's own accounts whose requests are written down.

    """
    accounts = [f"{_USER.format(NAMESPACE)}{name}" for name in ACCOUNTS]
    rules = [{"level": "Metadata", "users": [*accounts, *others]}, {"level": "None"}]
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": rules,
    }
    policy_file.parent.mkdir(parents=True, exist_ok=True)
    policy_file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return [
        f"--audit-policy-file={policy_file}",
        f"--audit-log-path={log}",
        f"--audit-log-maxsize={_MEGABYTES}",
        "--audit-log-maxbackup=3",
    ]


def logs() -> list[Path]:
    """Files of the log, those that are full too."""
    return sorted(LOG.parent.glob(f"{LOG.stem}*{LOG.suffix}"))


def used(lines: Iterable[str], namespace: str = NAMESPACE) -> set[Right]:
    """Return the rights by which requests were let in.

    Args:
        lines: of the log.
        namespace: the one whose accounts asked.

    """
    account = _USER.format(namespace)
    return {right for line in lines if (right := _right(line, account)) is not None}


def idle(objects: Iterable[dict[str, Any]], found: set[Right]) -> set[Right]:
    """Return the rights that roles grant and no request had a need of.

    Args:
        objects: roles, bindings, and whatever else there is.
        found: the rights that were used.

    """
    kinds = {right._replace(resource=EVERY) for right in found} | found
    return granted(objects) - kinds


def _right(line: str, account: str) -> Right | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # cut off where the file was full or the server ended
    user = str(event["user"]["username"])
    what = event.get("objectRef")
    allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
    if not user.startswith(account) or what is None or not allowed:
        return None
    parts = (what.get("resource", ""), what.get("subresource", ""))
    resource = "/".join(part for part in parts if part)
    return Right(user.removeprefix(account), what.get("apiGroup", ""), resource, event["verb"])


def granted(objects: Iterable[dict[str, Any]]) -> set[Right]:
    """Return what roles grant to the accounts that are bound to them.

    Args:
        objects: roles, bindings, and whatever else there is.

    """
    found = list(objects)
    roles = {(it["kind"], it["metadata"]["name"]): it for it in found if "rules" in it}
    return {
        right
        for binding in found
        if "roleRef" in binding
        for subject in binding["subjects"]
        for right in _of_role(
            subject["name"], roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        )
    }


def _of_role(account: str, role: dict[str, Any]) -> Iterator[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Right(account, group, resource, verb) for verb in rule["verbs"])
