"""Certificates as values: what is issued, and every reason to issue anew."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from certs.issue import (
    Pair,
    Renewal,
    ca_renewal,
    is_valid,
    issue_ca,
    issue_serving,
    serving_renewal,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("headgate-webhook.headgate-system.svc", "headgate-webhook.headgate-system")
CA = issue_ca("test CA", now=NOW, lifetime=300 * DAY)
OTHER_CA = issue_ca("test CA", now=NOW, lifetime=300 * DAY)
SERVING = issue_serving(CA, NAMES, now=NOW, lifetime=90 * DAY)


def test_a_serving_certificate_is_for_its_names_and_no_authority() -> None:
    certificate = x509.load_pem_x509_certificate(SERVING.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert basic.ca is False
    assert certificate.not_valid_before_utc < NOW


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (None, Renewal.MISSING),
        (Pair("", ""), Renewal.MISSING),
        (Pair("junk", SERVING.key), Renewal.UNREADABLE),
        (Pair(SERVING.certificate, CA.key), Renewal.KEY_MISMATCH),
        (Pair(SERVING.certificate, "junk"), Renewal.KEY_MISMATCH),
        (issue_serving(CA, ("other",), now=NOW, lifetime=90 * DAY), Renewal.WRONG_NAMES),
        (issue_serving(OTHER_CA, NAMES, now=NOW, lifetime=90 * DAY), Renewal.UNTRUSTED),
        (SERVING, Renewal.NONE),
    ],
)
def test_why_a_serving_certificate_is_renewed(pair: Pair | None, why: Renewal) -> None:
    assert serving_renewal(pair, CA, NAMES, NOW) is why


@pytest.mark.parametrize(("day", "why"), [(59, Renewal.NONE), (61, Renewal.EXPIRING)])
def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(day: int, why: Renewal) -> None:
    assert serving_renewal(SERVING, CA, NAMES, NOW + day * DAY) is why


@pytest.mark.parametrize(
    ("pair", "day", "why"),
    [
        (None, 0, Renewal.MISSING),
        (Pair("junk", ""), 0, Renewal.UNREADABLE),
        (Pair(CA.certificate, OTHER_CA.key), 0, Renewal.KEY_MISMATCH),
        (CA, 199, Renewal.NONE),
        (CA, 201, Renewal.EXPIRING),
    ],
)
def test_why_an_authority_is_replaced(pair: Pair | None, day: int, why: Renewal) -> None:
    assert ca_renewal(pair, NOW + day * DAY) is why


def test_an_authority_is_trusted_until_it_expires() -> None:
    assert is_valid(CA.certificate, NOW + 299 * DAY)
    assert not is_valid(CA.certificate, NOW + 301 * DAY)
    assert not is_valid("junk", NOW)


def test_a_key_is_in_no_repr() -> None:
    assert "PRIVATE KEY" not in repr(CA)
