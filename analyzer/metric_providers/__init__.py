"""Adapters of the `MetricProvider` port: one module per provider type."""
