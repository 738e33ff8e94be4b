"""A sandbox that is down has left nothing on the machine."""

import os

import pytest

from sandbox import cluster, owner, paths, residue

up = owner.load(paths.OWNER) is not None


@pytest.mark.skipif(up, reason="the sandbox is up")
@pytest.mark.skipif(os.geteuid() != 0, reason="firewall rules are root's to see")
def test_nothing_is_left_when_it_is_down() -> None:
    assert residue.leftovers() == []
    assert cluster.status() == ["down"]
