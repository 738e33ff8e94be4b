"""One leader at a time, by a Lease.

```text
candidate --lease free, released or not renewed for its duration--> leader
leader    --not renewed within renew_deadline, or another holder--> work cancelled --> candidate
leader    --stopped-----------------------------------------------> lease released, ended
```

Two leaders never overlap: a leader counts its time from before it *sent* a renewal, a candidate
from after it *saw* one, both on their own monotonic clocks, and the leader gives up after
`renew_deadline`, which is shorter than `duration`. The difference is the time that its work has
to end. The algorithm is client-go's (tools/leaderelection/leaderelection.go).
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from runtime.clock import ServerClock
from runtime.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    LeadershipLost,
    NotFound,
    RootTaskEnded,
)
from runtime.resources import LEASES, Resource

Json = dict[str, Any]

_MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

_log = structlog.get_logger()


class LeaseStore(Protocol):
    """The part of `runtime.kube.Cluster` that an election needs."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Return one object."""

    async def create(self, resource: Resource, obj: Json) -> Json:
        """Create an object."""

    async def replace(self, resource: Resource, obj: Json) -> Json:
        """Replace an object of the same resourceVersion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The times of an election, seconds.

    Args:
        duration: a lease not renewed for so long is free.
        renew_deadline: a leader that could not renew for so long gives up.
        retry: between two attempts to acquire or renew.

    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.retry < self.renew_deadline < self.duration:
            raise ValueError("needs retry < renew_deadline < duration")


@dataclass(slots=True)
class _Sight:
    """What a candidate saw last, and when on its own clock."""

    spec: Json = field(default_factory=dict)
    at: float = 0.0


class LeaderElector:
    """A candidate for one lease.

    Args:
        cluster: where the lease is.
        namespace: of the lease.
        name: of the lease.
        identity: unique per process, such as the pod's name and a random part.
        terms: times of the election.
        clock: the time that is written into the lease. One that has seen its holder renew it goes
            by the holder's: what that has stored is to be read by the clock that it was written by.

    """

    def __init__(  # a lease is three of them
        self,
        cluster: LeaseStore,
        namespace: str,
        name: str,
        identity: str,
        *,
        terms: Terms = Terms(),  # frozen
        clock: ServerClock | None = None,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._terms = terms
        self._clock = clock or ServerClock()
        self._lease: Json = {}
        self._sight = _Sight()
        self._until = 0.0

    @property
    def is_leader(self) -> bool:
        """Whether the lease is surely still ours at this moment."""
        return bool(self._lease) and _monotonic() < self._until

    async def run(self, on_started: Callable[[], Awaitable[object]]) -> None:
        """Wait for the lease, do the leader's work while it is held; again after it was lost.

        The lease is released as soon as the work has ended, by cancellation or by failure.

        Args:
            on_started: the work. It must not return, and must end quickly when cancelled.

        Raises:
            ExceptionGroup: the work failed, or returned (RootTaskEnded).

        """
        while True:
            async with self._held():
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._work(on_started), name="leader")
                        # Not a task of its own: before Python 3.13 a task that fails while the
                        # group waits for it leaves a cancellation too many on ours.
                        await self._keep()
                except* LeadershipLost as lost:
                    _log.warning("leadership_lost", lease=self._name, why=str(lost.exceptions[0]))
                    self._lease = {}
                # Likewise, a group that ends by a failure forgets a cancellation that comes
                # meanwhile (python/cpython#116720).
                if (task := asyncio.current_task()) and task.cancelling():
                    raise asyncio.CancelledError

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[None, None]:
        await self._acquire()
        _log.info("leadership_acquired", lease=self._name, identity=self._identity)
        try:
            yield
        finally:
            await self._release()

    async def _work(self, on_started: Callable[[], Awaitable[object]]) -> None:
        await on_started()
        raise RootTaskEnded("the leader's work returned by itself")

    # --- candidate ----------------------------------------------------------------------------

    async def _acquire(self) -> None:
        while True:
            if await self._try_acquire():
                return
            # Full jitter would hammer; candidates only have to come one after the other.
            await asyncio.sleep(self._terms.retry * random.uniform(0.8, 1.2))  # noqa: S311

    async def _try_acquire(self) -> bool:
        try:
            async with asyncio.timeout(self._terms.renew_deadline):
                lease = await self._read()
                return self._is_free(lease.get("spec") or {}) and await self._write(lease)
        except (ApiError, TimeoutError) as error:
            _log.warning("lease_not_acquired", lease=self._name, error=str(error))
            return False

    async def _read(self) -> Json:
        """Return the lease, or one that is still to be created."""
        try:
            return await self._cluster.get(LEASES, self._namespace, self._name)
        except NotFound:
            return {"metadata": {"name": self._name, "namespace": self._namespace}}

    def _is_free(self, spec: Json) -> bool:
        if spec != self._sight.spec:
            self._agree(spec)
            self._sight = _Sight(spec, _monotonic())
        if spec.get("holderIdentity", "") in {"", self._identity}:
            return True
        duration = float(spec.get("leaseDurationSeconds") or self._terms.duration)
        return _monotonic() >= self._sight.at + duration

    def _agree(self, spec: Json) -> None:
        """Go by the holder's time, where it was seen to renew just now."""
        renewed = _time_of(spec)
        seen = self._sight.spec.get("holderIdentity")
        if renewed is not None and seen and seen == spec.get("holderIdentity") != self._identity:
            self._clock.agree(renewed)

    # --- leader -------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Renew until the lease is lost."""
        while True:
            await asyncio.sleep(min(self._terms.retry, max(0.0, self._until - _monotonic())))
            left = self._until - _monotonic()
            if left <= 0:
                raise LeadershipLost(f"not renewed for {self._terms.renew_deadline:g} s")
            try:
                async with asyncio.timeout(left):
                    await self._renew()
            except (ApiError, TimeoutError) as error:
                _log.warning("lease_not_renewed", lease=self._name, error=str(error))

    async def _renew(self) -> None:
        if await self._write(self._lease):
            return
        lease = await self._read()
        holder = (lease.get("spec") or {}).get("holderIdentity", "")
        # Otherwise it is our own write, whose answer was lost, or somebody touched a label.
        if holder != self._identity:
            raise LeadershipLost(f"the lease is held by {holder or 'nobody'}")
        if not await self._write(lease):
            _log.warning("lease_not_renewed", lease=self._name, error="written by somebody else")

    async def _write(self, lease: Json) -> bool:
        """Write ourselves into the lease as it was read; False if somebody was faster."""
        sent = _monotonic()
        wanted = {**lease, "spec": self._spec(lease.get("spec") or {})}
        try:
            if "resourceVersion" in lease["metadata"]:
                self._lease = await self._cluster.replace(LEASES, wanted)
            else:
                self._lease = await self._cluster.create(LEASES, wanted)
        except (AlreadyExists, Conflict, NotFound):
            return False
        self._until = sent + self._terms.renew_deadline
        return True

    def _spec(self, old: Json) -> Json:
        now = self._clock.now().strftime(_MICRO_TIME)
        ours = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            # The API wants whole seconds; candidates must not wait for less.
            "leaseDurationSeconds": math.ceil(self._terms.duration),
            "acquireTime": old.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if ours else 1),
        }

    async def _release(self) -> None:
        """Give the lease back, so that a successor need not wait; at most for `retry` seconds."""
        if not self._lease:
            return
        lease, self._lease = self._lease, {}
        try:
            async with asyncio.timeout(self._terms.retry):
                await self._give_back(lease)
        except (ApiError, TimeoutError) as error:
            _log.warning("lease_not_released", lease=self._name, error=str(error))
        else:
            _log.info("leadership_released", lease=self._name)

    async def _give_back(self, lease: Json) -> None:
        try:
            await self._cluster.replace(LEASES, _freed(lease))
        except Conflict:
            # A renewal that was on its way when the end came has been written all the same.
            stored = await self._read()
            if (stored.get("spec") or {}).get("holderIdentity") != self._identity:
                raise
            await self._cluster.replace(LEASES, _freed(stored))


def _time_of(spec: Json) -> datetime | None:
    """Return when a lease was renewed last, None where it does not say so."""
    try:
        return datetime.strptime(str(spec.get("renewTime", "")), _MICRO_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _freed(lease: Json) -> Json:
    return {**lease, "spec": {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
