"""Certificates as values: what is issued, and every reason to issue anew."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from certs.issue import (
    CLOCK_SKEW,
    Pair,
    Renewal,
    ca_renewal,
    is_valid,
    issue_ca,
    issue_serving,
    serving_renewal,
    unusable,
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


def authority(
    key: CertificateIssuerPrivateKeyTypes, *, ca: bool = True, sign: bool | None = None
) -> Pair:
    """Make an authority as an admin's own tools do."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an admin's")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - CLOCK_SKEW)
        .not_valid_after(NOW + 300 * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if sign is not None:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=sign,
            **dict.fromkeys(
                (
                    *("content_commitment", "key_encipherment", "data_encipherment"),
                    *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
                ),
                False,
            ),
        )
        builder = builder.add_extension(usage, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Pair(
        builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


RSA_KEY = rsa.generate_private_key(65537, 2048)
SHORT_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is to be refused


@pytest.mark.parametrize(
    "key",
    [RSA_KEY, ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["RSA", "P-384", "Ed25519"],
)
def test_an_admin_s_authority_signs(key: CertificateIssuerPrivateKeyTypes) -> None:
    ca = authority(key, sign=True)

    assert (ca_renewal(ca, NOW), unusable(ca)) == (Renewal.NONE, "")
    serving = issue_serving(ca, NAMES, now=NOW, lifetime=90 * DAY)
    assert serving_renewal(serving, ca, NAMES, NOW) is Renewal.NONE


@pytest.mark.parametrize(
    ("ca", "why"),
    [
        (authority(dsa.generate_private_key(2048)), "its key is of a kind that cannot be used"),
        (authority(SHORT_KEY), "its RSA key has 1024 bits; take 2048"),
        (authority(RSA_KEY, ca=False), "its certificate is none of an authority"),
        (authority(RSA_KEY, sign=False), "its certificate is none of an authority"),
        (SERVING, "its certificate is none of an authority"),
        (CA, ""),
    ],
)
def test_an_authority_that_cannot_sign_is_named(ca: Pair, why: str) -> None:
    assert unusable(ca).startswith(why)
    assert bool(unusable(ca)) == bool(why)


def test_a_certificate_that_is_not_yet_valid_is_replaced() -> None:
    before = NOW - CLOCK_SKEW - timedelta(seconds=1)

    assert serving_renewal(SERVING, CA, NAMES, before) is Renewal.NOT_YET_VALID
    assert ca_renewal(CA, before) is Renewal.NOT_YET_VALID
    assert ca_renewal(CA, NOW - CLOCK_SKEW) is Renewal.NONE
