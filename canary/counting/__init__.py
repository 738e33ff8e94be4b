"""Counts, not ratios: the raw counters behind a metric's query, and what each counts for.

A query is read as an expression over counters (`expressions`, `algebra`), the expression as a
share of requests or a quantile of a histogram (`derive`). Every series then has its part in two
sums, the bad requests and all requests, which `canary.evidence.counters` subtracts and tests.

Beside that: which version a query reads (`versions`), what its names can only mean (`mending`),
and when an empty sum is 0 (`zeros`).
"""
