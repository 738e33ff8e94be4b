"""A module that names a `LOOP` has its tests run in such loops."""

import asyncio
from collections.abc import Callable

import pytest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loop of a test by its module."""
    del config
    module = item.getparent(pytest.Module)
    return {"loop": getattr(module and module.obj, "LOOP", asyncio.new_event_loop)}
