"""What a reconcile wants worked out of teams' queries, and what holds where that cannot be."""

from collections.abc import Iterable
from datetime import datetime

from analyzer.ports import Deriver, UnderivableError
from canary.measuring.countable import (
    Comparable,
    Countable,
    Uncountable,
    count_of,
    is_alone,
    unread,
)
from canary.model.canary_labels import CanaryLabels
from canary.model.strategy import Strategy
from canary.queries.metric import Query
from canary.queries.own import Past, late_texts, own_texts, unread_texts, with_texts
from canary.queries.worn import Worn, texts_of, unworn_text, worn_of


async def counted(
    deriver: Deriver, namespace: str, query: Query, strategy: Strategy
) -> Countable | Comparable | Uncountable:
    """Return how the evidence layer reads a metric; one that cannot be worked out is not counted.

    Args:
        deriver: works it out.
        namespace: whose query it is.
        query: the metric.
        strategy: of its run.

    """
    if not query.spec.speaks_promql:
        return unread(query)
    alone, gate = is_alone(strategy), strategy.gate
    try:
        return await deriver.derive(
            namespace, count_of, query.metric, query.texts, query.stable, alone, gate
        )
    except UnderivableError as error:
        return Uncountable(metric=query.metric.name, why=str(error))


async def unworn(
    deriver: Deriver, namespace: str, queries: Iterable[Query], labels: CanaryLabels | None
) -> tuple[str, ...]:
    """Return what is wrong with queries of teams, in words; see `canary.queries.worn`."""
    if labels is None:
        return ()
    found: list[str] = []
    worn: Worn = worn_of(labels)
    for query in queries:
        for name, text, versions in texts_of(query):
            try:
                found += await deriver.derive(namespace, unworn_text, name, text, versions, worn)
            except UnderivableError as error:
                found.append(f"metric {name}: {error}")
    return tuple(found)


async def as_asked(
    deriver: Deriver, namespace: str, query: Query, past: Past, now: datetime
) -> Query:
    """Return a metric as it is to be asked now; one that cannot be read waits as it has to."""
    if past.former_until is None:
        return query
    if not query.spec.speaks_promql:
        return with_texts(query, unread_texts(query, past, now))
    try:
        texts = await deriver.derive(namespace, own_texts, query.texts, past, now)
    except UnderivableError:
        texts = late_texts(query.texts, past, now)
    return with_texts(query, texts)
