"""One sidecar for all rows: on SeaweedFS through a proxy, and one on moto, which keeps every key as it is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from demo.s3server import S3Server
from tests.fakes.proxy import Proxy
from tests.faults.conftest import Battered
from tests.walks.pair import EGRESS, INGRESS, Pair
from tests.walks.sidecar_process import SidecarProcess


@pytest.fixture(scope="module")
def world(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battered]:
    """A sidecar on the real server."""
    name = f"traps-{secrets.token_hex(6)}"
    s3_server.create_bucket(name)
    with Proxy(s3_server.storage(name).port) as proxy:
        files = {**s3_server.storage_files(name), "BUCKET_PORT": str(proxy.port)}
        with SidecarProcess(
            tmp_path_factory.mktemp("traps"), egress=EGRESS, ingress=INGRESS, files=files, DATA_SYNC_INTERVAL="200ms"
        ) as sidecar:
            yield Battered(sidecar, name, s3_server.client(), proxy)
    s3_server.delete_bucket(name)


@pytest.fixture(scope="module")
def any_key_world(moto_endpoint: str, moto_client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A sidecar on a server that takes nearly every key."""
    name = f"traps-{secrets.token_hex(6)}"
    moto_client.create_bucket(Bucket=name)
    host, port = moto_endpoint.removeprefix("http://").split(":")
    files = {
        "BUCKET_NAME": name,
        "BUCKET_HOST": host,
        "BUCKET_PORT": port,
        "BUCKET_SCHEME": "http",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    with SidecarProcess(
        tmp_path_factory.mktemp("any-key"), egress=EGRESS, ingress=INGRESS, files=files, DATA_SYNC_INTERVAL="300ms"
    ) as sidecar:
        yield Pair(sidecar, name, moto_client)
