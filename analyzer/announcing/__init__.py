"""Announcements sent beside the reconciles, each to the alerts that want to hear it."""
