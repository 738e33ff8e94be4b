"""Whether a candidate is worse than the stable, by tests that may be looked at all the time.

Counters become strata (`counters`), strata become evidence (`judge`), evidence becomes a verdict
(`verdict`). Everything is a pure function of its arguments; `record` writes it down.
"""
