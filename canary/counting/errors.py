"""Why a query cannot be read as counts."""


class NotCounts(ValueError):  # noqa: N818 - an answer about the query, not a fault of the program
    """A query that is no share of counters; the message is for the reader of `Canary.status`."""


class NotPromql(NotCounts):
    """A query that no Prometheus takes: not one that is only too large, or too new, for us."""
