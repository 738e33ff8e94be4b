"""The admin's alerts, as they are set."""

import pytest

from analyzer.settings import read_settings
from canary.model.announcement import Severity


def test_the_admin_s_alert_is_read_from_the_environment() -> None:
    variables = {"HEADGATE_ALERT_PROVIDER": "infra/chat", "HEADGATE_ALERT_SEVERITY": "error"}
    (one,) = read_settings(variables).defaults.alerts
    assert (one.namespace, one.provider, one.severity) == ("infra", "chat", Severity.ERROR)
    assert read_settings({}).defaults.alerts == ()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HEADGATE_ALERT_PROVIDER", "https://x/y"), ("HEADGATE_ALERT_SEVERITY", "panic")],
)
def test_what_is_none_is_said_at_the_start(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable):
        read_settings({variable: value})
