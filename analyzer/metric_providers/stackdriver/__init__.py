"""Metrics from Google Cloud Monitoring, which was called Stackdriver."""
