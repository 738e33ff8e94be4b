"""The seams of the daemon. Adapters implement them; the loop knows nothing else of the outside."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

from canary.counting.series import Series
from canary.evidence.report import Weighing
from canary.measuring.history import Past
from canary.measuring.watch import Watch
from canary.measuring.windowed import WindowCount
from canary.model.announcement import Alert, Announcement, Room, Told
from canary.model.asking import HookAsk, MetricsAsk, Sample, Standing
from canary.model.strategy import Hook, Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.model.world import HookResult, Split
from canary.queries.metric import Query
from canary.queries.provider import ProviderSpec
from runtime.resources import ListResult, Resource
from runtime.writes import Swappable, Writable


class ProviderError(Exception):
    """A metric provider could not answer: unreachable, refused the query, or not known.

    The message is for the reader of `Canary.status`: what failed and how to mend it.
    """


class TooLargeError(ProviderError):
    """There is an answer, of more than is read."""


class UnderivableError(ProviderError):
    """What a team's query means could not be worked out within bounds, or at all."""


class SplitRefused(Exception):  # noqa: N818 - what the API server did, told to the run's people
    """Some routes could not be given their split: the API server refused the write.

    All others carry it. The message names each route with the API server's reason.
    """


class MetricProvider(Protocol):
    """Answers one query of one provider type."""

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return all values that the query has now, in any order; those that are NaN are left out.

        One is what a metric needs. None means no data, and of several no order says which counts:
        `canary.queries.values` does.

        Args:
            spec: where to ask, and with what.
            query: the team's, rendered.
            interval: the metric's. What a query does not say itself of the time it looks back is
                `canary.queries.points.window_of` it.

        Raises:
            ProviderError: there is no answer to be had.

        """


class SeriesSource(Protocol):
    """Reads raw counters where they are stored, one query for all series."""

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        """Return every series of the query's result now; none is an empty result, not an error.

        Values are passed on as they are, NaN included.

        Raises:
            ProviderError: there is no answer to be had, or it is no vector.

        """


class HistorySource(Protocol):
    """Reads raw counters of the past."""

    async def history(
        self,
        spec: ProviderSpec,
        query: str,
        *,
        start: datetime,
        end: datetime,
        step: timedelta,
    ) -> Sequence[Past]:
        """Return every series of a range query, with its values at every step that has one.

        Raises:
            ProviderError: there is no answer to be had.

        """


class SampleSource(Protocol):
    """Reads raw counters as they were scraped."""

    async def samples(self, spec: ProviderSpec, query: str) -> Sequence[Past]:
        """Return every series of an instant query that gives a range of values, as `a[1m]` does.

        Raises:
            ProviderError: there is no answer to be had.

        """


@dataclass(frozen=True, slots=True)
class NotInstalled:
    """Stands for a provider whose client library this installation has not.

    `extra` is the one of Headgate's package that brings it.
    """

    extra: str

    @property
    def why(self) -> str:
        """Say what an admin has to do."""
        return (
            f"its client is not installed in this analyzer; let the admin build the image with "
            f"headgate[{self.extra}]"
        )

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Answer nothing; see the port."""
        del query, interval
        raise ProviderError(f"provider {spec.type}: {self.why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What serves one type of `MetricTemplate.spec.provider`.

    `metrics` answers its queries. `series`, `history` and `samples` read raw counters where it has
    such, and what they mean is known of PromQL only (`ProviderSpec.speaks_promql`).
    """

    metrics: MetricProvider
    series: SeriesSource | None = None
    history: HistorySource | None = None
    samples: SampleSource | None = None


class Scraper(Protocol):
    """Reads raw counters where they arise, from a pod's own page of metrics."""

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        """Return the page's series with these sample names; none is not an error.

        Names are as the page writes them: `http_requests_total`, `http_request_duration_sum`.
        Values are passed on as they are, NaN included. The pages of one owner wait for each other
        where they are large or many, and no other owner's for them.

        Raises:
            ProviderError: the page cannot be had, or is no page of metrics.

        """


_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")


class Deriver(Protocol):
    """Works out what teams' queries mean, beside the loop and within bounds."""

    async def derive(self, asker: str, work: Callable[[Unpack[_Given]], _T], *given: *_Given) -> _T:
        """Return what a pure function makes of what is given; the same at once the next time.

        Args:
            asker: the namespace whose query it is.
            work: a function of `canary/`, by its name in its module.
            given: its arguments; equal ones are written alike by `repr`.

        Raises:
            UnderivableError: it takes too long or too much memory, or fails, which is remembered;
                or others' are being worked out all the time, which is not.
            ValueError: what the function itself raises of `canary/`'s own errors.

        """


class AtOnce:
    """Works out on the spot: for a command, which serves the one person who gave it."""

    async def derive(self, asker: str, work: Callable[[Unpack[_Given]], _T], *given: *_Given) -> _T:
        """Call the function; see the port."""
        del asker
        return work(*given)


class Asker(Protocol):
    """Asks for what a check is judged by."""

    async def ask(
        self, queries: tuple[Query, ...], *, baselines: bool = False
    ) -> tuple[Sample, ...]:
        """Return a sample per query; what cannot be answered is in the sample's `problem`."""


class HookCaller(Protocol):
    """Calls the hooks of a run."""

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        """POST the payload; never raises for what the other side does wrong.

        A call that is cancelled closes its connection.
        """


class AlertError(Exception):
    """A message did not arrive, as far as is known.

    Its text is for people, and shows nothing of an address, token or proxy. `again` is whether
    another try could end differently, `after` the seconds that the service wants it to wait.
    """

    def __init__(self, message: str, *, again: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after


class AlertService(Protocol):
    """Says something in a room of one chat service."""

    async def say(self, room: Room, said: Announcement) -> None:
        """Send one message, once.

        Raises:
            AlertError: it did not arrive, as far as is known.

        """


class Announcer(Protocol):
    """Has announcements sent beside the reconciles."""

    def put(self, canary: Json, alerts: Sequence[Alert], said: Sequence[Announcement]) -> None:
        """Send each announcement to each alert that wants to hear it. It never waits.

        Args:
            canary: the Canary as it is stored, on which it is said what cannot be sent.
            alerts: the entries of its `analysis.alerts`.
            said: in order.

        """


class Reporter(Protocol):
    """Has event hooks told of events beside the reconciles."""

    def tell(self, canary: Json, hooks: Sequence[Hook], said: Sequence[Told]) -> None:
        """Tell each hook of each event, in order. It never waits.

        Args:
            canary: the Canary as it is stored.
            hooks: of type `event`.
            said: in order.

        """


class Silence:
    """Sends nothing: for a loop that serves no alerts and no event hooks."""

    def tell(self, canary: Json, hooks: Sequence[Hook], said: Sequence[Told]) -> None:
        """Do nothing; see the port."""

    def put(self, canary: Json, alerts: Sequence[Alert], said: Sequence[Announcement]) -> None:
        """Do nothing; see the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsInquiry:
    """The metrics of one check, with what it takes to ask for them."""

    ask: MetricsAsk
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookInquiry:
    """One call of one hook, with what it takes to call it."""

    ask: HookAsk
    hook: Hook
    payload: Mapping[str, Any]


Inquiry = MetricsInquiry | HookInquiry


class Inquirer(Protocol):
    """Has questions carried out beside the reconciles, and keeps what has come back."""

    def standing(self, key: Key) -> Standing:
        """Return the answers that have come for a target, and the questions that are out."""

    def put(self, key: Key, inquiries: Sequence[Inquiry]) -> None:
        """Have exactly these questions stand for a target from now on.

        New ones are put. Those that are out or answered already, which is told by equal asks, go
        on. All others are cancelled and their answers forgotten. It never waits.
        """

    def forget(self, key: Key) -> None:
        """Have no question stand for a target; one without any is a success."""


class Router(Protocol):
    """Splits traffic between the stable and the canary Service of a target, on all its routes.

    A route may lead to other targets too; their splits are left as they are.
    """

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        """Return the target's split as it stands on every route to its stable Service."""

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        """Give the canary this traffic on every route; repeat without effect.

        Raises:
            SplitRefused: some routes were refused; all others carry the split.
            ApiError: the API server could not do its part on some route; all others are written.
            Overtaken: another route has come in place of one; read again.

        """

    async def clean(self, key: Key) -> bool:
        """Leave every route as the team wrote it, whatever a run of the target had put there.

        Returns:
            Whether there was anything to take out.

        Raises:
            ApiError: a route could not be written, and may lead to the canary still.

        """

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        """Make the own route as the strategy asks for it, at weight 0; adopt otherwise.

        What has its name and was not made for the owner is left as it is.
        """

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        """Say why there can be no route as a strategy asks for it, where none leads to the stable.

        What has the own route's name and is not ours, a kind that the cluster or Headgate's rights
        lack.

        Args:
            key: the target.
            strategy: one that asks for a route of its own, or for certain kinds.
            canary: the Canary that the route is to belong to, with its type.

        """


class Cluster(Swappable, Writable, Protocol):
    """The part of `runtime.kube.Cluster` that the daemon uses; the contract is written there."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        """Return all objects that match."""

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects that match, a few at a time."""

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""


class Weigher(Protocol):
    """Gathers evidence for runs that are under way, and says what there is of it."""

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        """Gather for a run from now on; return what there is already, None before the first."""

    def counts(self, key: Key) -> tuple[WindowCount, ...]:
        """Return what a run's metrics come to by its own counters; those not known are left out."""

    def forget(self, key: Key) -> None:
        """Gather nothing more for a target; one that is not followed is a success."""
