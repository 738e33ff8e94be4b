"""Adapters of the `AlertService` port, one for each type of AlertProvider."""
