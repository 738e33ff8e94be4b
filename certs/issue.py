"""A certificate authority and serving certificates, as PEM. Pure: the time is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far an API server's clock may be behind the one that issues."""
OVERLAP: Final = timedelta(hours=1)
"""How long an authority that was replaced is trusted beside its successor.

The kubelet needs some two minutes to hand a changed Secret to a pod.
"""
RENEW_AT: Final = 2 / 3
"""Part of a lifetime after which a certificate is renewed, as cert-manager does by default."""
SIGNERS: Final = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
"""Kinds of keys that an authority may have: those whose signatures API servers check."""
_LEAST_BITS: Final = 2048


class Renewal(StrEnum):
    """Why a certificate must be issued anew; the violation that was found."""

    NONE = ""
    MISSING = "Missing"
    UNREADABLE = "Unreadable"
    KEY_MISMATCH = "KeyMismatch"
    WRONG_NAMES = "WrongNames"
    UNTRUSTED = "NotSignedByCurrentCA"
    NOT_YET_VALID = "NotYetValid"
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
    if not isinstance(signer, SIGNERS):
        raise TypeError(unusable(ca))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_names[0][:64])])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
    builder = (
        _builder(subject, authority.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
    )
    # Ed25519 hashes by itself.
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return _pair(builder.sign(signer, algorithm), key)


def unusable(ca: Pair) -> str:
    """Say why an authority, whose key matches, cannot sign what API servers trust; "" if it can."""
    certificate = x509.load_pem_x509_certificate(ca.certificate.encode())
    key = serialization.load_pem_private_key(ca.key.encode(), password=None)
    if not isinstance(key, SIGNERS):
        return "its key is of a kind that cannot be used; take RSA, ECDSA or Ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_BITS:
        return f"its RSA key has {key.key_size} bits; take {_LEAST_BITS} or more"
    if not _may_sign(certificate):
        return "its certificate is none of an authority (basicConstraints CA:TRUE, keyCertSign)"
    return ""


def _may_sign(certificate: x509.Certificate) -> bool:
    found = certificate.extensions
    try:
        if not found.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        return False
    try:
        return found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


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
    return _by_time(certificate, now)


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
    return _by_time(certificate, now)


def _by_time(certificate: x509.Certificate, now: datetime) -> Renewal:
    if now < certificate.not_valid_before_utc:
        return Renewal.NOT_YET_VALID
    return Renewal.EXPIRING if now >= renewal_time(certificate) else Renewal.NONE


def is_recent(certificate: str, now: datetime) -> bool:
    """Tell whether something that was replaced by this PEM certificate may still be in use."""
    begin = x509.load_pem_x509_certificate(certificate.encode()).not_valid_before_utc
    return now < begin + CLOCK_SKEW + OVERLAP


def is_signed_by(certificate: str, ca: Pair) -> bool:
    """Tell whether a PEM certificate can be read and was signed by an authority."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return False
    return _signed_by(found, x509.load_pem_x509_certificate(ca.certificate.encode()))


def expiry(certificate: str) -> datetime:
    """Return when a PEM certificate ends.

    Raises:
        ValueError: it cannot be read.

    """
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


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
