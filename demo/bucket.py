"""The bucket and the device's directory, looked at without the sidecar: boto3 and plain reads.

``python -m demo.bucket`` lists a bucket whose storage keys are in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from contract.storage import Storage, storage_from

_NAMED = 5  # differences that a person can take in at once


class Bucket:
    """One bucket, by a client of its own."""

    def __init__(self, storage: Storage) -> None:
        self.name = storage.bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region,
            aws_access_key_id=storage.access_key_id,
            aws_secret_access_key=storage.secret_access_key,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )

    def put(self, key: str, body: bytes) -> None:
        """Store ``body`` under ``key``."""
        self._client.put_object(Bucket=self.name, Key=key, Body=body)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Size in bytes by key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {str(item["Key"]): int(item["Size"]) for page in pages for item in page.get("Contents", [])}

    def contents(self, prefix: str) -> dict[str, bytes]:
        """Body by path below ``prefix``, which ends in a slash."""
        return {
            key.removeprefix(prefix): self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
            for key in self.sizes(prefix)
        }

    def close(self) -> None:
        """Drop its connections."""
        self._client.close()


def files(directory: Path) -> dict[str, bytes]:
    """Content by path below ``directory``; empty where there is no such directory."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def differences(wanted: Mapping[str, bytes], there: Mapping[str, bytes], where: str) -> list[str]:
    """What of ``wanted`` is not ``there``, byte for byte: one sentence each, the first few."""
    found = []
    for path, body in wanted.items():
        if path not in there:
            found.append(f"{path} ({len(body)} bytes) is not {where}")
        elif there[path] != body:
            found.append(f"{path} has {len(there[path])} bytes {where} that are not its {len(body)} bytes here")
    more = len(found) - _NAMED
    return found[:_NAMED] + ([f"and {more} more"] if more > 0 else [])


def main() -> None:
    """List the bucket that the environment names."""
    bucket = Bucket(storage_from(os.environ))
    for key, count in bucket.sizes().items():
        print(f"{count:10}  {key}")
    bucket.close()


if __name__ == "__main__":
    main()
