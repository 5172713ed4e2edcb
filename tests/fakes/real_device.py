"""A device of which only clock and process are ours: its bucket is on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.s3server import S3Server
from sidecar.remote.s3 import S3Store
from sidecar.tree import ETag
from tests.fakes.device import Device

_REQUESTS = {"list", "head", "put", "put_large", "get", "read_range", "copy", "copy_large", "delete", "check"}


class HookedStore:
    """The real adapter; ``before`` hears of each operation and its key, and may raise, as with the fake."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self.before: Callable[[str, str], None] = lambda _operation, _key: None
        self.on_request: Callable[[str, str], None] = lambda _operation, _code: None

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._store, name)
        if name not in _REQUESTS:
            return function

        def call(*args: Any, **kwargs: Any) -> Any:
            self.on_request(name, "200")
            self.before(name, args[0] if args else "")
            return function(*args, **kwargs)

        return call


class RealDevice(Device):
    """See the module. The bucket is removed by :meth:`forget_bucket`."""

    def __init__(self, server: S3Server, bucket: str, directory: Path, **settings: Any) -> None:
        server.create_bucket(bucket)
        self._server = server
        self._bucket = bucket
        self._s3 = S3Store(server.storage(bucket), state_dir=str(directory / "export/.data-sync"))
        super().__init__(directory, store=HookedStore(self._s3), **settings)  # type: ignore[arg-type]

    def forget_bucket(self) -> None:
        """It is not needed any more."""
        self._s3.close()
        self._server.delete_bucket(self._bucket)

    def put(self, key: str, body: str, metadata: dict[str, str] | None = None) -> ETag:
        """See :meth:`Device.put`."""
        answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=body.encode(), Metadata=metadata or {})
        return ETag(answer["ETag"].strip('"'))

    def remove(self, key: str) -> None:
        """See :meth:`Device.remove`."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def stored(self) -> dict[str, tuple[str, dict[str, str]]]:
        """See :meth:`Device.stored`."""
        found = {}
        listed = self._client.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        for key in sorted(entry["Key"] for entry in listed):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            with answer["Body"] as body:
                found[key] = (body.read().decode(), answer["Metadata"])
        return found

    @property
    def _client(self) -> Any:
        return self._server.client()
