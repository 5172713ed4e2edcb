"""A running sidecar and its bucket, seen from both sides by someone who is not the sidecar.

``out`` of the device goes to ``sent/`` in the bucket, ``remote/`` in the bucket comes to ``in``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.remote.store import META_SHA256
from tests.walks.sidecar_process import SidecarProcess

EGRESS = [{"source": "out", "target": "sent"}]
INGRESS = [{"source": "remote", "target": "in"}]


@dataclass
class Pair:
    """See the module. ``client`` is boto3's."""

    sidecar: SidecarProcess
    bucket: str
    client: Any

    @property
    def out(self) -> Path:
        """What egress sends."""
        return self.sidecar.export / "out"

    def write(self, path: str, body: bytes) -> None:
        """A file below ``out``, renamed into place."""
        target = self.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = self.sidecar.export / "beside"
        beside.write_bytes(body)
        beside.rename(target)

    def put(self, path: str, body: bytes, **options: Any) -> None:
        """An object below ``remote``, with the hash that another sidecar would give it."""
        hashed = {META_SHA256: hashlib.sha256(body).hexdigest(), **options.pop("Metadata", {})}
        self.client.put_object(Bucket=self.bucket, Key=f"remote/{path}", Body=body, Metadata=hashed, **options)

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

    def all_keys(self, prefix: str = "") -> list[str]:
        """Every key below ``prefix``."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def arrived(self, path: str) -> bytes | None:
        """What the device has of an object below ``remote``."""
        try:
            return (self.sidecar.export / "in" / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def wait_sent(self, path: str, body: bytes) -> None:
        """Until the bucket has ``body``."""
        self.sidecar.wait_for(lambda: self.sent(path) == body, f"{path} is sent")

    def wait_arrived(self, path: str, body: bytes) -> None:
        """Until the device has ``body``."""
        self.sidecar.wait_for(lambda: self.arrived(path) == body, f"{path} arrives")

    def memory(self) -> int:
        """Resident bytes of the sidecar."""
        assert self.sidecar._process is not None
        pages = Path(f"/proc/{self.sidecar._process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096
