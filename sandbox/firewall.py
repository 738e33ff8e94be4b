"""The firewall rules that kube-proxy and the CNI plugins add, and their removal.

Everything here reads the text of `iptables-save` and writes text for
`iptables-restore --noflush`: rules of others are never loaded again, so never lost.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox import shell
from sandbox.report import SandboxError

FAMILIES = (("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore"))
OUR_CHAIN = re.compile(r"(?:KUBE|CNI)-[A-Z0-9a-z-]+")
ANOTHER_KUBERNETES = "KUBE-SERVICES"


@dataclass(slots=True)
class Table:
    """One table as it was printed."""

    name: str
    chains: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)


def parse(saved: str) -> list[Table]:
    """Tables, chains and rules of an `iptables-save`."""
    tables: list[Table] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            tables.append(Table(line[1:].strip()))
        elif line.startswith(":"):
            tables[-1].chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            tables[-1].rules.append(line)
    return tables


def _ours(chain: str) -> bool:
    return OUR_CHAIN.fullmatch(chain) is not None


def _rules_outside(table: Table) -> Iterator[str]:
    """Rules in other chains that lead into ours."""
    for rule in table.rules:
        jump = re.search(r" -j (\S+)", rule)
        if not _ours(rule.split()[1]) and jump is not None and _ours(jump[1]):
            yield rule


def removal(saved: str) -> str:
    """What `iptables-restore --noflush` must read to remove our chains and the way into them."""
    lines: list[str] = []
    for table in parse(saved):
        chains = [chain for chain in table.chains if _ours(chain)]
        if not chains:
            continue
        lines.append(f"*{table.name}")
        lines += [f":{chain} - [0:0]" for chain in chains]
        lines += [rule.replace("-A ", "-D ", 1) for rule in _rules_outside(table)]
        lines += [f"-X {chain}" for chain in chains]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


def chains(saved: str) -> list[str]:
    """Our chains, as table/chain."""
    return [f"{t.name}/{chain}" for t in parse(saved) for chain in t.chains if _ours(chain)]


def refuse_foreign() -> None:
    """Chains of another Kubernetes or container network are not ours to share or remove."""
    found = present()
    if any(chain.endswith(f"/{ANOTHER_KUBERNETES}") for chain in found):
        raise SandboxError(
            "another Kubernetes node runs on this machine (its firewall chains are there);"
            " set KUBECONFIG to use it"
        )
    if found:
        raise SandboxError(
            f"another container network owns firewall chains on this machine: {found[0]}"
        )


def present() -> list[str]:
    """Chains of our kind that exist now, of both families."""
    return [chain for save, _ in FAMILIES for chain in chains(shell.quiet([save]))]


def remove() -> None:
    """Take our chains and rules away."""
    for save, restore in FAMILIES:
        script = removal(shell.quiet([save]))
        if script:
            subprocess.run(
                [restore, "--noflush", "--wait=5"],
                input=script,
                text=True,
                capture_output=True,
                check=False,
            )
