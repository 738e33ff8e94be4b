"""What the informers know where there is a target with its Canary, and nothing else."""

from abc import ABC, abstractmethod
from datetime import timedelta

from canary.model.values import Json, Key


class OneTarget(ABC):
    """Knows the target and its Canary, as a test says, and of nobody beside them."""

    @abstractmethod
    def target(self, key: Key) -> Json | None:
        """Return the Deployment, None where there is none."""

    @abstractmethod
    def canary(self, key: Key) -> Json | None:
        """Return the Canary, None where there is none."""

    @abstractmethod
    def enabled(self, namespace: str) -> bool:
        """Tell whether a namespace has the label."""

    def has_target(self, key: Key) -> bool:
        return self.target(key) is not None

    def outdone(self, key: Key) -> None:
        del key

    def made_in(self, key: Key) -> timedelta:
        del key
        return timedelta(0)

    def missed_in(self, key: Key) -> timedelta:
        del key
        return timedelta(0)

    def flagger(self, namespace: str) -> str:
        del namespace
        return ""

    def rivals(self, key: Key) -> tuple[Json, ...]:
        del key
        return ()

    def doubt(self, key: Key) -> None:
        del key

    def doubted(self, key: Key) -> bool:
        del key
        return False

    def split(self, key: Key) -> bool:
        """No route is left over."""
        del key
        return False

    def ending(self, namespace: str) -> bool:
        del namespace
        return False

    def unmanaged(self, namespace: str) -> bool:
        del namespace
        return False
