"""A certificate authority and serving certificates, as PEM. Pure: the time is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far an API server's clock may be behind the one that issues."""
RENEW_AT: Final = 2 / 3
"""Part of a lifetime after which a certificate is renewed, as cert-manager does by default."""


class Renewal(StrEnum):
    """Why a certificate must be issued anew; the violation that was found."""

    NONE = ""
    MISSING = "Missing"
    UNREADABLE = "Unreadable"
    KEY_MISMATCH = "KeyMismatch"
    WRONG_NAMES = "WrongNames"
    UNTRUSTED = "NotSignedByCurrentCA"
    EXPIRING = "Expiring"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str = field(repr=False)


def issue_ca(name: str, *, now: datetime, lifetime: timedelta) -> Pair:
    """Return a new self-signed authority that may sign serving certificates only.

    Args:
        name: its common name.
        now: the time of issue, with a time zone.
        lifetime: how long it is valid.

    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = _usage(sign_certificates=True)
    builder = (
        _builder(subject, subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue_serving(
    ca: Pair, dns_names: Sequence[str], *, now: datetime, lifetime: timedelta
) -> Pair:
    """Return a new serving certificate.

    Args:
        ca: who signs.
        dns_names: the names that clients use, the first of them as common name.
        now: the time of issue, with a time zone.
        lifetime: how long it is valid.

    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(ca.certificate.encode())
    signer = serialization.load_pem_private_key(ca.key.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the CA's key is not an elliptic-curve key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0][:64])])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
    builder = (
        _builder(subject, authority.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
    )
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def ca_renewal(ca: Pair | None, now: datetime) -> Renewal:
    """Tell whether an authority must be replaced, and why."""
    if ca is None or not ca.certificate:
        return Renewal.MISSING
    try:
        certificate = x509.load_pem_x509_certificate(ca.certificate.encode())
    except ValueError:
        return Renewal.UNREADABLE
    if not _matches(certificate, ca.key):
        return Renewal.KEY_MISMATCH
    return Renewal.EXPIRING if now >= renewal_time(certificate) else Renewal.NONE


def serving_renewal(
    serving: Pair | None, ca: Pair, dns_names: Sequence[str], now: datetime
) -> Renewal:
    """Tell whether a serving certificate must be issued anew, and why."""
    if serving is None or not serving.certificate:
        return Renewal.MISSING
    try:
        certificate = x509.load_pem_x509_certificate(serving.certificate.encode())
        authority = x509.load_pem_x509_certificate(ca.certificate.encode())
    except ValueError:
        return Renewal.UNREADABLE
    if not _matches(certificate, serving.key):
        return Renewal.KEY_MISMATCH
    if set(dns_names) - set(_names(certificate)):
        return Renewal.WRONG_NAMES
    if not _signed_by(certificate, authority):
        return Renewal.UNTRUSTED
    return Renewal.EXPIRING if now >= renewal_time(certificate) else Renewal.NONE


def renewal_time(certificate: x509.Certificate) -> datetime:
    """Return when two thirds of a certificate's lifetime are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT


def is_valid(certificate: str, now: datetime) -> bool:
    """Tell whether a PEM certificate can be read and has not expired."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc > now
    except ValueError:
        return False


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def _matches(certificate: x509.Certificate, key: str) -> bool:
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted
        return False
    return private.public_key() == certificate.public_key()


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
