"""Who may have one more command run: so many of a canary, and none takes everybody's places."""

from collections.abc import Collection
from typing import Final

_KEPT: Final = 4
"""One place of so many is out of reach of an address that has all the others."""


def refusal(
    held: Collection[tuple[str, str]],
    caller: str,
    canary: str,
    *,
    total: int,
    per_canary: int,
    things: str = "commands",
) -> str:
    """Say why one more command or Job may not run now, "" where it may.

    A canary's name is the caller's word, and an address is not: so an address may call for many
    canaries, as the analyzer does, and yet leave a part of the places to all others.

    Args:
        held: address and canary of every command that runs.
        caller: the address that asks.
        canary: for which canary.
        total: commands that may run at the same time.
        per_canary: of them, those that an address may have run for one canary.
        things: what they are called.

    """
    if len(held) >= total:
        return f"{len(held)} {things} are running, which is the most that may"
    own = sum(holder == (caller, canary) for holder in held)
    if own >= per_canary:
        return f"{own} {things} of this canary are running, which is the most that one may have"
    called = sum(address == caller for address, _ in held)
    if called >= max(1, total - total // _KEPT):
        return f"{called} {things} from this address are running, and the rest is for others"
    return ""
