"""Metric queries: the built-in ones, templates, and where they are asked."""
