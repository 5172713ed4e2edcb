"""An ObjectStore in memory, held to the same promises as the real one by ``tests/conformance``.

It is strict where S3 is (metadata is ASCII, small bodies are small), lists in key order, and takes
every key. ``before`` is called with operation and key ahead of each request, and may raise any
SyncError or change the store: that is how tests make it fail, or race.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice

from sidecar.errors import NotFound, PreconditionFailed, Transient
from sidecar.remote.store import PLAIN, SMALL_BODY, Condition, Download, IfAbsent, ObjectInfo, ObjectOptions
from sidecar.tree import Entries, ETag, ObjectKey, RemoteEntry, entries_of

_CHUNK = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its body and what is known of it."""

    body: bytes
    info: ObjectInfo
    options: ObjectOptions = PLAIN


def _nothing(_operation: str, _key: str) -> None:
    pass


class FakeStore:
    """See the module. ``requests`` counts calls by operation; ``clock`` gives the objects' times."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.before: Callable[[str, str], None] = _nothing
        self.on_request: Callable[[str, str], None] = _nothing  # operation and code, as from the real one
        self.requests: list[tuple[str, str]] = []
        self.objects: dict[ObjectKey, Stored] = {}
        self.unfinished = 0  # uploads begun, and neither completed nor aborted
        self.cut_body: int | None = None  # bodies end after so many bytes, as when a connection breaks
        self._clock = clock
        self._lock = threading.RLock()

    def list(self, prefix: str) -> Iterator[RemoteEntry]:
        """Every object below ``prefix`` as it was when the listing began."""
        self._request("list", prefix)
        with self._lock:
            found = sorted((key, stored.info) for key, stored in self.objects.items() if key.startswith(prefix))
        return iter([RemoteEntry(key, info.size, info.etag, info.modified) for key, info in found])

    def pages(self, prefix: str) -> Iterator[Entries]:
        """As :meth:`list`, in pages that are short enough for tests to have several."""
        entries = self.list(prefix)
        while some := list(islice(entries, 3)):
            yield entries_of(some)

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        """What is known of ``key``."""
        self._request("head", key)
        stored = self.objects.get(key)
        return stored.info if stored else None

    def put(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None = None,
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """Store ``body``."""
        assert len(body) <= SMALL_BODY, "a body this large belongs into put_large"
        self._request("put", key)
        return self._store(key, body, metadata, condition, options)

    def put_large(
        self,
        key: ObjectKey,
        size: int,
        chunks: Iterable[bytes],
        metadata: dict[str, str],
        condition: Condition | None,
        confirm: Callable[[], None],
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """Store all ``chunks``, or nothing."""
        self._request("put_large", key)
        self.unfinished += 1
        try:
            body = b"".join(chunks)
            confirm()
            return self._store(key, body, metadata, condition, options)
        finally:
            self.unfinished -= 1

    def end_abandoned(self, prefix: str, before: float) -> None:
        """Nothing: an upload here is finished or was none."""

    def get(self, key: ObjectKey, etag: ETag) -> AbstractContextManager[Download]:
        """Read one version."""
        return self._get(key, etag)

    def read_range(
        self, key: ObjectKey, etag: ETag, start: int, size: int, write: Callable[[int, memoryview], None]
    ) -> ObjectInfo:
        """Read part of one version."""
        with self._get(key, etag) as download:
            done = 0
            for chunk in self._chunks(key, self.objects[key].body[start : start + size]):
                write(start + done, memoryview(chunk))
                done += len(chunk)
        return download.info

    def copy(self, source: ObjectKey, target: ObjectKey, etag: ETag | None = None) -> None:
        """Copy body and metadata."""
        self._request("copy", target)
        with self._lock:
            if source not in self.objects:
                raise NotFound("copy", source)
            stored = self.objects[source]
            if etag is not None and stored.info.etag != etag:
                raise PreconditionFailed("copy", source)
            self._store(target, stored.body, stored.info.metadata, None, stored.options)

    def copy_large(self, source: ObjectKey, target: ObjectKey, etag: ETag, beat: Callable[[], None]) -> None:
        """Likewise."""
        self._request("copy_large", target)
        beat()
        with self._lock:
            self._demand(target, IfAbsent())
            self.copy(source, target, etag)

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """Remove one version."""
        self._request("delete", key)
        with self._lock:
            stored = self.objects.get(key)
            if stored is not None and stored.info.etag != etag:
                raise PreconditionFailed("delete", key)
            self.objects.pop(key, None)

    def check(self) -> None:
        """All is well, unless ``before`` says otherwise."""
        self._request("check", "")

    @contextmanager
    def _get(self, key: ObjectKey, etag: ETag) -> Iterator[Download]:
        self._request("get", key)
        stored = self.objects.get(key)
        if stored is None:
            raise NotFound("get", key)
        if stored.info.etag != etag:
            raise PreconditionFailed("get", key)
        yield Download(stored.info, self._chunks(key, stored.body))

    def _chunks(self, key: ObjectKey, body: bytes) -> Iterator[bytes]:
        end = len(body) if self.cut_body is None else min(self.cut_body, len(body))
        for start in range(0, end, _CHUNK):
            yield body[start : min(start + _CHUNK, end)]
        if end < len(body):
            raise Transient("get", key, f"the body ended after {end} of {len(body)} bytes")

    def _store(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None,
        options: ObjectOptions,
    ) -> ETag:
        for name, value in metadata.items():
            assert name == name.lower(), "metadata keys are lower case"
            value.encode("ascii")
        with self._lock:
            self._demand(key, condition)
            etag = ETag(hashlib.md5(body, usedforsecurity=False).hexdigest())
            info = ObjectInfo(len(body), etag, float(int(self._clock())), dict(metadata))
            self.objects[key] = Stored(bytes(body), info, options)
            return etag

    def _demand(self, key: ObjectKey, condition: Condition | None) -> None:
        stored = self.objects.get(key)
        if condition is None:
            return
        found = stored.info.etag if stored else None
        wanted = None if isinstance(condition, IfAbsent) else condition.etag
        if found != wanted:
            raise PreconditionFailed("put", key)

    def _request(self, operation: str, key: str) -> None:
        with self._lock:
            self.requests.append((operation, key))
        self.on_request(operation, "200")
        self.before(operation, key)
