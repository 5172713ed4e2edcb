"""A running sidecar behind the proxy: the same one for all storms of a module."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo.s3server import S3Server
from tests.fakes.proxy import Proxy
from tests.walks.pair import EGRESS, INGRESS, Pair
from tests.walks.sidecar_process import SidecarProcess


@dataclass
class Battered(Pair):
    """A pair with the proxy that the sidecar talks through; the test's own client does not."""

    proxy: Proxy


@pytest.fixture(scope="module")
def battered(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battered]:
    """A sidecar that syncs both ways through a proxy that lets everything pass."""
    name = f"battered-{secrets.token_hex(6)}"
    s3_server.create_bucket(name)
    with Proxy(s3_server.storage(name).port) as proxy:
        files = {**s3_server.storage_files(name), "BUCKET_PORT": str(proxy.port)}
        with SidecarProcess(
            tmp_path_factory.mktemp("battered"),
            egress=EGRESS,
            ingress=INGRESS,
            files=files,
            DATA_SYNC_INTERVAL="200ms",
        ) as sidecar:
            yield Battered(sidecar, name, s3_server.client(), proxy)
    s3_server.delete_bucket(name)
