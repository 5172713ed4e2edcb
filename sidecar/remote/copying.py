"""Copies inside the bucket of objects that are too large for one request: assembled from ranges of the source.

Part of the S3 adapter. No byte of the object comes through here. What one request would copy by itself is
named here: metadata and the headers that say what the body is. Tags are not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sidecar.errors import PreconditionFailed
from sidecar.remote.attempt import Attempt
from sidecar.remote.client import Ask, Client
from sidecar.remote.etags import bare, quoted
from sidecar.remote.failures import Garbled
from sidecar.remote.multipart import Sender, Sent, Upload, Wanted
from sidecar.remote.objects import info_from
from sidecar.remote.store import IfAbsent, ObjectOptions
from sidecar.tree import ETag, ObjectKey

OPERATION: Final = "copy"
RANGE: Final = 256 * 2**20  # bytes in each part at least; the server copies it within its patience
_PART_COUNT: Final = 9_000
_AT_ONCE: Final = 4
_MIB: Final = 2**20
_KEPT: Final = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


class Copier:
    """Copies large objects. Thread-safe."""

    def __init__(self, client: Client, attempt: Attempt, sender: Sender) -> None:
        self._client = client
        self._attempt = attempt
        self._sender = sender

    def copy(self, source: ObjectKey, target: ObjectKey, etag: ETag, beat: Callable[[], None]) -> None:
        """As :meth:`ObjectStore.copy_large` promises."""
        wanted = self._wanted(source, target, etag)
        self._sender.assemble(wanted, lambda upload: self._parts(upload, source, target, etag, wanted.size, beat))

    def _wanted(self, source: ObjectKey, target: ObjectKey, etag: ETag) -> Wanted:
        """The copy, described as its source is."""
        found = self._attempt(OPERATION, lambda: self._client.call(Ask(OPERATION, "HEAD", source))).headers
        info = info_from(source, found)
        if info.etag != etag:
            raise PreconditionFailed(OPERATION, source, "it is another version by now")
        options = ObjectOptions(content_type=found.get("content-type", ""))
        kept = tuple((name, found[name]) for name in _KEPT if name in found)
        return Wanted(target, info.size, info.metadata, IfAbsent(), options, kept)

    def _parts(
        self, upload: Upload, source: ObjectKey, target: ObjectKey, etag: ETag, size: int, beat: Callable[[], None]
    ) -> list[Sent]:
        each = max(RANGE, -(-size // _PART_COUNT // _MIB) * _MIB)
        failed = threading.Event()

        def send(number: int) -> Sent | None:
            start = (number - 1) * each
            if failed.is_set():
                return None
            try:
                beat()
                return self._part(upload, source, target, etag, number, start, min(start + each, size))
            except BaseException:
                failed.set()  # before it is aborted nobody may add to it
                raise

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
            sent = list(pool.map(send, range(1, max(1, -(-size // each)) + 1)))
        return [one for one in sent if one is not None]

    def _part(
        self, upload: Upload, source: ObjectKey, target: ObjectKey, etag: ETag, number: int, start: int, end: int
    ) -> Sent:
        query = {"partNumber": str(number), "uploadId": upload.id}
        headers = (
            ("x-amz-copy-source", self._client.place_of(source)),
            ("x-amz-copy-source-range", f"bytes={start}-{end - 1}"),
            ("x-amz-copy-source-if-match", quoted(etag)),
        )
        ask = Ask(OPERATION, "PUT", target, query, headers, slow=True)
        found = self._attempt(OPERATION, lambda: self._client.document(ask))
        if not bare(found.get("ETag", "")):
            raise Garbled(OPERATION, target, "the server copied a part and told no ETag")
        return number, found["ETag"]
