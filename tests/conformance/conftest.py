"""Every ObjectStore that there is, each under the same suite.

``store`` runs a test on all of them; ``any_key_store`` only on those that keep every key as it is
(SeaweedFS folds ``a//b`` into ``a/b`` and refuses ``..``, so it cannot hold the traps of ingress).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from contract.storage import Storage
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import ObjectStore
from tests.fakes.store import FakeStore

SERVERS = ("seaweedfs-http", "seaweedfs-https", "moto")


@pytest.fixture
def moto_storage(moto_endpoint: str, moto_client: Any) -> Storage:
    """A fresh bucket in moto."""
    name = f"bucket-{secrets.token_hex(6)}"
    moto_client.create_bucket(Bucket=name)
    host, port = moto_endpoint.removeprefix("http://").split(":")
    return Storage(name, host, int(port), "http", "us-east-1", False, "any", "any")


@pytest.fixture(params=SERVERS)
def s3_storage(request: pytest.FixtureRequest) -> Storage:
    """A fresh bucket on each real server."""
    names = {"seaweedfs-http": "storage", "seaweedfs-https": "storage_tls", "moto": "moto_storage"}
    storage = request.getfixturevalue(names[request.param])
    assert isinstance(storage, Storage)
    return storage


@pytest.fixture(params=("fake", *SERVERS))
def store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """An empty store of each kind."""
    yield from _open(request, request.param)


@pytest.fixture(params=("fake", "seaweedfs-http"))
def careful_store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """An empty store of each kind that heeds a condition on the source of a copy, which moto does not."""
    yield from _open(request, request.param)


@pytest.fixture(params=("fake", "moto"))
def any_key_store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """An empty store of each kind that takes every key."""
    yield from _open(request, request.param)


def _open(request: pytest.FixtureRequest, kind: str) -> Iterator[ObjectStore]:
    if kind == "fake":
        yield FakeStore()
        return
    names = {"seaweedfs-http": "storage", "seaweedfs-https": "storage_tls", "moto": "moto_storage"}
    store = S3Store(request.getfixturevalue(names[kind]))
    yield store
    store.close()
