"""A running sidecar behind the proxy: the same one for all storms of a module."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.s3server import S3Server
from sidecar.remote.store import META_SHA256
from tests.fakes.proxy import Proxy
from tests.walks.sidecar_process import SidecarProcess

EGRESS = [{"source": "out", "target": "sent"}]
INGRESS = [{"source": "remote", "target": "in"}]


@dataclass
class Battered:
    """A sidecar, the proxy that it talks through, and the bucket as one sees it who does not."""

    sidecar: SidecarProcess
    proxy: Proxy
    bucket: str
    client: Any

    def write(self, path: str, body: bytes) -> None:
        """A file below ``out``, renamed into place."""
        target = self.sidecar.export / "out" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = self.sidecar.export / "beside"
        beside.write_bytes(body)
        beside.rename(target)

    def put(self, path: str, body: bytes) -> None:
        """An object below ``remote``, with the hash that another sidecar would give it."""
        hashed = {META_SHA256: hashlib.sha256(body).hexdigest()}
        self.client.put_object(Bucket=self.bucket, Key=f"remote/{path}", Body=body, Metadata=hashed)

    def sent(self, path: str) -> bytes | None:
        """What the bucket has of a file below ``out``."""
        return self.get(f"sent/{path}")

    def get(self, key: str) -> bytes | None:
        """One object's body."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except self.client.exceptions.NoSuchKey:
            return None
        with answer["Body"] as body:
            return bytes(body.read())

    def all_keys(self) -> list[str]:
        """Every key."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def arrived(self, path: str) -> bytes | None:
        """What the device has of an object below ``remote``."""
        try:
            return (self.sidecar.export / "in" / path).read_bytes()
        except FileNotFoundError:
            return None

    def memory(self) -> int:
        """Resident bytes of the sidecar."""
        assert self.sidecar._process is not None
        pages = Path(f"/proc/{self.sidecar._process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096


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
            yield Battered(sidecar, proxy, name, s3_server.client())
    s3_server.delete_bucket(name)
