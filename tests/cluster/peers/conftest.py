"""Namespaces for programs of others."""

import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.kit import Kubectl


@pytest.fixture
def unlabelled(together: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of its own that is not enabled."""
    name = f"peer-{uuid.uuid4().hex[:6]}"
    together("create", "namespace", name)
    yield together.within(name)
    together("delete", "namespace", name, "--wait=false")
