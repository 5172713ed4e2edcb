"""Fixtures for everybody: real S3 servers, one of each kind for the whole session, and fresh buckets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import hypothesis
import pytest
from moto.server import ThreadedMotoServer

from contract.storage import Storage
from demo.s3server import HOST, S3Server, Tls
from webhook.certificates import KeyPair, issue, make_authority

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def authority() -> KeyPair:
    """A certificate authority that nobody else trusts."""
    return make_authority("test authority", timedelta(days=1))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """SeaweedFS over HTTP."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server_tls(authority: KeyPair) -> Iterator[S3Server]:
    """SeaweedFS over HTTPS, its certificate issued by ``authority``."""
    pair = issue(authority, [HOST, "localhost"], timedelta(days=1))
    tls = Tls(pair.certificate_pem.decode(), pair.key_pem.decode(), authority.certificate_pem.decode())
    with S3Server(tls) as server:
        yield server


@pytest.fixture
def storage(s3_server: S3Server) -> Iterator[Storage]:
    """A fresh bucket over HTTP."""
    yield from _bucket(s3_server)


@pytest.fixture
def storage_tls(s3_server_tls: S3Server) -> Iterator[Storage]:
    """A fresh bucket over HTTPS."""
    yield from _bucket(s3_server_tls)


def _bucket(server: S3Server) -> Iterator[Storage]:
    name = f"bucket-{secrets.token_hex(6)}"
    server.create_bucket(name)
    yield server.storage(name)
    server.delete_bucket(name)  # each one takes volumes of the server, which has not many


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """moto's server: no authentication, but it takes nearly every key."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def moto_client(moto_endpoint: str) -> Iterator[Any]:
    """boto3's view of moto."""
    client = boto3.client(
        "s3",
        endpoint_url=moto_endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    yield client
    client.close()
