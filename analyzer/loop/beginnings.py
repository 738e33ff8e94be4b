"""Counts what a query's rates leave out: what a series stood at when it was first scraped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analyzer.ports import Deriver, SampleSource, TooLargeError, UnderivableError
from canary.measuring.births import counted_from_0, sampled
from canary.queries.builtin import SourceQuery
from canary.queries.provider import ProviderSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a metric comes to with all that was counted; `note` says so, or why it is not known.

    `value` is None where no series began meanwhile, or nothing can be said. `source` is the text's.
    """

    value: float | None = None
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Looks at the samples behind a query; see `canary.measuring.births`.

    `deriver` reads what teams have written, `sources` are by the type of the metrics server.
    """

    deriver: Deriver
    sources: Mapping[str, SampleSource] = field(default_factory=dict)

    async def look(self, spec: ProviderSpec, texts: Sequence[SourceQuery]) -> Beginning:
        """Return what the first of some texts comes to in which a series began meanwhile.

        Args:
            spec: where they are asked.
            texts: PromQL; of several the first one counts that has such a series.

        Raises:
            ProviderError: the samples cannot be had, so that the query's value may lack errors.

        """
        source = self.sources.get(spec.type)
        if source is None or not spec.speaks_promql:
            return Beginning()
        for text in texts:
            try:
                value = await self._counted(source, spec, text.query)
            except TooLargeError as error:
                return Beginning(note=f"what began in its window is not counted: {error}")
            if value is not None:
                note = "what began in its window is counted from 0"
                return Beginning(value=value, source=text.source, note=note)
        return Beginning()

    async def _counted(self, source: SampleSource, spec: ProviderSpec, query: str) -> float | None:
        try:
            found = await self.deriver.derive(spec.asker, sampled, query)
        except UnderivableError:
            return None  # Its value is all that is known of it.
        if found is None:
            return None
        series = [one for asked in found.queries for one in await source.samples(spec, asked)]
        return counted_from_0(found.side, series)
