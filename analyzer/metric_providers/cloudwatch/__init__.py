"""Metrics from Amazon CloudWatch."""
