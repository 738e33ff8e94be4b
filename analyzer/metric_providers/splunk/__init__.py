"""Metrics from Splunk Observability Cloud, which was called SignalFx."""
