"""S3Store: a bucket behind any S3-compatible server.

The operations are put together here from requests (``objects.py``, ``listing.py``, ``multipart.py``)
that ``client.py`` signs and sends over HTTP of our own. What they raise is the sidecar's errors and
nothing else. It never tries anything again by itself: ``retry.py`` wraps it, and reaches pages and
parts through ``attempt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from contract.storage import Credentials, Storage
from sidecar.errors import (
    AccessDenied,
    Misconfigured,
    NotFound,
    PreconditionFailed,
    Refused,
    SyncError,
    Transient,
)
from sidecar.remote.attempt import Attempt, once
from sidecar.remote.client import PATIENCE_SECONDS, STALL_SECONDS, Client, Report
from sidecar.remote.copying import Copier
from sidecar.remote.credentials import key_source
from sidecar.remote.listing import every_page, fetch_page
from sidecar.remote.multipart import Sender, Wanted
from sidecar.remote.objects import copy_object, delete_object, get_object, head_object, put_object, read_range
from sidecar.remote.store import PLAIN, Condition, Download, IfMatch, ObjectInfo, ObjectOptions
from sidecar.remote.uploads import Uploads
from sidecar.tree import Entries, ETag, ObjectKey, RemoteEntry


def _report_nothing(_operation: str, _code: str) -> None:
    pass


class S3Store:
    """An :class:`~sidecar.remote.store.ObjectStore`. Thread-safe.

    ``on_request`` hears of every request: the operation, and the HTTP status or ``error``; ``on_skew``
    once in a while by how many seconds our clock is ahead of the server's.
    ``stall`` is after how many seconds without a byte a connection counts as dead; ``patience`` takes
    its place while a server that has a large body, or makes a copy, is to answer.
    Uploads that a restart interrupts are remembered below ``state_dir``; without one they are not resumed.
    """

    def __init__(
        self,
        storage: Storage,
        credentials: Credentials = Credentials.KEYS,
        *,
        attempt: Attempt = once,
        on_request: Report = _report_nothing,
        on_skew: Callable[[float], None] = lambda _seconds: None,
        stall: float = STALL_SECONDS,
        patience: float = PATIENCE_SECONDS,
        state_dir: str | None = None,
    ) -> None:
        self._attempt = attempt
        place = f"{storage.endpoint}/{storage.bucket}"
        self._uploads = Uploads(f"{state_dir}/uploads", place) if state_dir else None
        self._client = Client(storage, key_source(storage, credentials), on_request, stall, patience, on_skew)
        self._sender = Sender(self._client, attempt, self._uploads)
        self._copier = Copier(self._client, attempt, self._sender)

    def close(self) -> None:
        """Let the connections go; the store is not used after it."""
        self._client.close()

    def list(self, prefix: str) -> Iterator[RemoteEntry]:
        """See :meth:`ObjectStore.list`."""
        return (entry for page in self.pages(prefix) for entry in page.each())

    def pages(self, prefix: str) -> Iterator[Entries]:
        """See :meth:`ObjectStore.pages`; each page is one attempt."""
        return every_page(lambda token: self._attempt("list", lambda: fetch_page(self._client, prefix, token)))

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        """See :meth:`ObjectStore.head`. The answer to a HEAD can't tell a missing bucket from a missing key."""
        try:
            return head_object(self._client, key)
        except NotFound:
            return None
        except (AccessDenied, Refused) as error:  # the answer to a HEAD has no body that would say why
            raise self._told_better(error) from error

    def put(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None = None,
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """See :meth:`ObjectStore.put`."""
        try:
            return put_object(self._client, key, body, metadata, condition, options)
        except NotFound as error:
            if isinstance(condition, IfMatch):
                raise PreconditionFailed("put", key, "the object is gone") from error
            raise

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
        """See :meth:`ObjectStore.put_large`; each part is one attempt."""
        wanted = Wanted(key, size, metadata, condition, options)
        return self._sender.send(wanted, chunks, confirm)

    def end_abandoned(self, prefix: str, before: float) -> None:
        """See :meth:`ObjectStore.end_abandoned`."""
        if self._uploads is None:
            return
        for begun in self._uploads.abandoned(prefix, before):
            self._sender.end(begun)
        for intent in self._uploads.intents(prefix, before):
            self._sender.settle(intent)

    def get(self, key: ObjectKey, etag: ETag) -> AbstractContextManager[Download]:
        """See :meth:`ObjectStore.get`. One request, read front to back; a body that breaks off is Transient."""
        return get_object(self._client, key, etag)

    def read_range(
        self, key: ObjectKey, etag: ETag, start: int, size: int, write: Callable[[int, memoryview], None]
    ) -> ObjectInfo:
        """See :meth:`ObjectStore.read_range`."""
        return read_range(self._client, key, etag, start, size, write)

    def copy(self, source: ObjectKey, target: ObjectKey, etag: ETag | None = None) -> None:
        """See :meth:`ObjectStore.copy`."""
        copy_object(self._client, source, target, etag)

    def copy_large(self, source: ObjectKey, target: ObjectKey, etag: ETag, beat: Callable[[], None]) -> None:
        """See :meth:`ObjectStore.copy_large`; each part is one attempt."""
        self._copier.copy(source, target, etag, beat)

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """See :meth:`ObjectStore.delete`."""
        delete_object(self._client, key, etag)

    def check(self) -> None:
        """See :meth:`ObjectStore.check`: lists one object, which needs no more than a bucket check would."""
        fetch_page(self._client, "", None, limit=1)

    def _told_better(self, error: SyncError) -> SyncError:
        """``error``, or what a listing is refused with: that answer has a body, a date, and so the whole reason."""
        try:
            self.check()
        except Misconfigured as better:
            if not isinstance(better, AccessDenied):
                return better
        except Transient:
            pass
        return error
