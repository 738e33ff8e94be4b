"""Adapters of the `HookCaller` port: how the hooks of a run are called."""
