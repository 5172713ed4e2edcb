"""Certificates: a small authority, and server certificates signed by it.

PEM bytes in and out; when they are made is ``authority``'s, where they are stored and published
``rotation``'s. The demo and the tests use them too. Keys are ECDSA P-256, and the
extensions are what strict verification (RFC 5280, Python 3.13's default) wants to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A client whose clock is behind must not see a certificate "of the future".
CLOCK_SKEW: Final = timedelta(hours=1)
_COMMON_NAME_LIMIT: Final = 64  # characters, by X.520


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key (PKCS #8, not encrypted), both PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"  # a key never belongs into a log or a traceback


def make_authority(name: str, lifetime: timedelta, now: datetime | None = None) -> KeyPair:
    """A new self-signed certificate authority with the common name ``name``, made at ``now`` (default: now)."""
    start = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _common_name(name)
    builder = _builder(subject, subject, key.public_key(), start, start + lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    return KeyPair(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(authority: KeyPair, names: Sequence[str], lifetime: timedelta, now: datetime | None = None) -> KeyPair:
    """A new server certificate for ``names`` (DNS names or IP addresses), signed by ``authority``.

    It never outlives the authority: a certificate whose issuer has expired verifies nowhere.

    Raises:
        ValueError: ``names`` is empty, or ``authority`` is no usable key pair.
    """
    if not names:
        raise ValueError("a certificate needs at least one name")
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    issuer_key = serialization.load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is no ECDSA key")  # noqa: TRY004 - wrong bytes, not a wrong type
    key = ec.generate_private_key(ec.SECP256R1())
    start = now or datetime.now(UTC)
    end = min(start + lifetime, issuer.not_valid_after_utc)
    builder = _builder(_common_name(names[0]), issuer.subject, key.public_key(), start, end)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    return KeyPair(_pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key))


def not_after(certificate_pem: bytes) -> datetime:
    """When the first certificate in ``certificate_pem`` ends (UTC).

    Raises:
        ValueError: it holds no certificate.
    """
    return x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc


def made(certificate_pem: bytes) -> datetime:
    """When the first certificate in ``certificate_pem`` was made by us (UTC): its start lies :data:`CLOCK_SKEW` before.

    Raises:
        ValueError: it holds no certificate.
    """
    return x509.load_pem_x509_certificate(certificate_pem).not_valid_before_utc + CLOCK_SKEW


def certificates(bundle: bytes) -> list[bytes]:
    """Each certificate in ``bundle``, PEM; none where it holds something else."""
    try:
        return [_pem(one) for one in x509.load_pem_x509_certificates(bundle)]
    except ValueError:
        return []


def belongs(pair: KeyPair) -> bool:
    """Whether the key is the certificate's.

    Raises:
        ValueError: one of them cannot be read.
    """
    key = serialization.load_pem_private_key(pair.key_pem, password=None)
    certificate = x509.load_pem_x509_certificate(pair.certificate_pem)
    return key.public_key() == certificate.public_key()


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # A lifetime in the past (a test's expired certificate) still needs a start before its end.
        .not_valid_before(min(start, end) - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_LIMIT])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
