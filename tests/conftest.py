"""What begins and ends with a test run.

Here and not beside the tests on a cluster: pytest reads their conftest.py in the workers only,
unless the folder is named on the command line, and then no two workers would share a lock.
"""

import pytest
from hypothesis import settings

from tests import sharing
from tests.mutation.afresh import forget_if_changed

# A machine that is busy is no failure, and a run that fails fails again.
settings.register_profile("headgate", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("headgate")


def pytest_configure(config: pytest.Config) -> None:
    """Make what the workers share, with nothing remembered of before a change."""
    forget_if_changed()
    sharing.begin(config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take it down when the last worker has ended."""
    if not hasattr(session.config, "workerinput"):
        sharing.end()
