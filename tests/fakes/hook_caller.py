"""A `HookCaller` that calls nobody; verified by the contract tests of the real one."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from canary.model.strategy import Hook
from canary.model.world import HookResult

OK = 200
_LAST_SUCCESS = 202
_BUSY = 429
_FAULTS = 500
_NOT_IMPLEMENTED = 501


class FakeHookCaller:
    """Answers with scripted HTTP statuses, the last one again and again; 200 without a script.

    `calls` holds each payload as the other side would read it, with the hook's name.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._scripts: defaultdict[str, deque[int]] = defaultdict(lambda: deque([OK]))

    def script(self, hook_name: str, *statuses: int) -> None:
        """Set what the hook of this name answers, in order."""
        self._scripts[hook_name] = deque(statuses)

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        """Answer as `HttpHookCaller` does, without its delays."""
        tries = 1
        status = self._answer(hook, payload)
        while status >= 500 and tries <= hook.retries:
            status = self._answer(hook, payload)
            tries += 1
        if status <= _LAST_SUCCESS:
            return HookResult(hook=hook, ok=True)
        message = f"hook {hook.name}, POST {hook.url}: answered {status}"
        faulty = status == _BUSY or (status >= _FAULTS and status != _NOT_IMPLEMENTED)
        return HookResult(hook=hook, ok=False, message=message, faulty=faulty)

    def _answer(self, hook: Hook, payload: Mapping[str, Any]) -> int:
        self.calls.append((hook.name, {"metadata": dict(hook.metadata), **payload}))
        script = self._scripts[hook.name]
        return script.popleft() if len(script) > 1 else script[0]
