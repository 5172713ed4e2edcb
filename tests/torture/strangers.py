"""Others who use the bucket: they write and remove what ingress brings, and sometimes write over what egress sent."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from demo.s3server import S3Server
from tests.torture import contents
from tests.torture.ledger import Ledger
from tests.torture.workload import LARGE

SOURCE: Final = "remote/data"  # what ingress brings
TARGET: Final = "sent"  # where egress sends
KEYS: Final = ("a", "b", "c d", "ü/x", "ü/y", "deep/er/one", "deep/two", "a.b", "a-b", "file..txt", "p%41+q", "n\nl")


class Bucket:
    """A client that is not the sidecar's. Thread-safe."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.name = name
        self._client = server.client()

    def put(self, key: str, body: bytes) -> None:
        """Write over whatever is there."""
        self._client.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Remove, if it is there."""
        self._client.delete_object(Bucket=self.name, Key=key)

    def get(self, key: str) -> bytes | None:
        """The body, None where there is none."""
        try:
            answer: Any = self._client.get_object(Bucket=self.name, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        with answer["Body"] as body:
            return bytes(body.read())

    def etags(self, prefix: str) -> dict[str, str]:
        """ETags by key."""
        found = {}
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            found.update({entry["Key"]: entry["ETag"] for entry in page.get("Contents", [])})
        return found

    def uploads(self) -> list[Any]:
        """Multipart uploads that nobody ended."""
        listed: list[Any] = self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return listed


class Strangers:
    """The actors on the bucket."""

    def __init__(self, bucket: Bucket, ledger: Ledger) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._written_over: set[str] = set()

    def actors(self) -> dict[str, tuple[Callable[[random.Random], None], float]]:
        """As :meth:`tests.torture.workload.Workload.actors`."""
        return {"publish": (self.publish, 0.15), "publish_large": (self.publish_large, 6.0), "usurp": (self.usurp, 4.0)}

    def publish(self, rng: random.Random) -> None:
        """Write an object that ingress should bring, or remove one."""
        key = f"{SOURCE}/{rng.choice(KEYS)}"
        if rng.random() < 0.1:
            self._bucket.delete(key)
            return
        self._bucket.put(key, contents.whole(self._ledger.name("remote"), rng.choice((10, 3_000, 150_000))))

    def publish_large(self, rng: random.Random) -> None:
        """The same, larger than one PUT of the sidecar's would be."""
        self._bucket.put(f"{SOURCE}/large", contents.whole(self._ledger.name("remote"), LARGE + rng.randrange(100)))

    def usurp(self, rng: random.Random) -> None:
        """Write over an object that the sidecar sent: once a key, since more is contention and waits an hour."""
        sent = [key for key in self._bucket.etags(f"{TARGET}/whole/") if ".conflict-" not in key]
        free = sorted(set(sent) - self._written_over)
        if free:
            key, name = rng.choice(free), self._ledger.name("stranger")
            self._written_over.add(key)
            self._ledger.wrote(name, key)
            self._bucket.put(key, contents.whole(name, 1_000))

    def last_words(self) -> dict[str, bytes]:
        """Write every object of ingress once more; returns what is there now."""
        said = {}
        for key in KEYS:
            said[f"{SOURCE}/{key}"] = contents.whole(self._ledger.name("remote"), 500)
            self._bucket.put(f"{SOURCE}/{key}", said[f"{SOURCE}/{key}"])
        return said
