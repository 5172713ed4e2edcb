"""Certificates verify where they should, and nowhere else: real TLS handshakes in memory."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from webhook.certificates import KeyPair, issue, make_authority, not_after

HOUR = timedelta(hours=1)


def handshake(authority: KeyPair, leaf: KeyPair, name: str, directory: Path) -> None:
    """Client and server shake hands through memory; raises what the client's verification says."""
    (directory / "chain.pem").write_bytes(leaf.certificate_pem + leaf.key_pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(directory / "chain.pem")
    client_context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert() is not None


@pytest.mark.parametrize("name", ["data-sync.flotta.svc", "127.0.0.1", "::1"])
def test_a_leaf_verifies_strictly_under_each_of_its_names(name: str, tmp_path: Path) -> None:
    authority = make_authority("test authority", HOUR)
    leaf = issue(authority, ["data-sync.flotta.svc", "127.0.0.1", "::1"], HOUR)
    handshake(authority, leaf, name, tmp_path)


def test_a_leaf_does_not_verify_under_another_name(tmp_path: Path) -> None:
    authority = make_authority("test authority", HOUR)
    leaf = issue(authority, ["data-sync.flotta.svc"], HOUR)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority, leaf, "elsewhere", tmp_path)


def test_a_leaf_of_another_authority_with_the_same_name_does_not_verify(tmp_path: Path) -> None:
    leaf = issue(make_authority("test authority", HOUR), ["localhost"], HOUR)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(make_authority("test authority", HOUR), leaf, "localhost", tmp_path)


def test_an_expired_leaf_does_not_verify(tmp_path: Path) -> None:
    authority = make_authority("test authority", HOUR)
    leaf = issue(authority, ["localhost"], timedelta(minutes=-1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(authority, leaf, "localhost", tmp_path)


def test_a_leaf_never_outlives_its_authority() -> None:
    authority = make_authority("test authority", HOUR)
    assert not_after(issue(authority, ["localhost"], 5 * HOUR).certificate_pem) == not_after(authority.certificate_pem)


def test_not_after_is_the_lifetime_from_now() -> None:
    end = not_after(make_authority("test authority", HOUR).certificate_pem)
    assert abs(end - (datetime.now(UTC) + HOUR)) < timedelta(seconds=10)


def test_no_names_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one name"):
        issue(make_authority("test authority", HOUR), [], HOUR)


def test_a_key_pair_never_shows_its_key() -> None:
    assert "PRIVATE" not in repr(make_authority("test authority", HOUR))


def test_an_authority_with_another_kind_of_key_is_refused() -> None:
    authority = make_authority("test authority", HOUR)
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ValueError, match="no ECDSA key"):
        issue(KeyPair(authority.certificate_pem, pem), ["localhost"], HOUR)
