"""S3Store: a bucket behind any S3-compatible server.

obstore moves the bytes (put, get, head), our own signed requests list (``listing.py``), and
botocore's client does what is rare (``control.py``, ``multipart.py``). Together with
``connection.py``, ``credentials.py`` and ``failures.py`` these are the S3 adapter: nobody else
imports an S3 library, and none of their exceptions leaves it. It never tries anything again by
itself: ``retry.py`` wraps it, and reaches pages and parts through ``attempt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import obstore

from contract.storage import Credentials, Storage
from sidecar.errors import (
    AccessDenied,
    ClockSkewed,
    Misconfigured,
    NotFound,
    PreconditionFailed,
    Refused,
    SyncError,
    Transient,
)
from sidecar.remote.attempt import Attempt, once
from sidecar.remote.connection import SENDING_SECONDS, STALL_SECONDS, open_client, open_obstore
from sidecar.remote.control import Control, is_odd, sendable
from sidecar.remote.credentials import key_source
from sidecar.remote.etags import bare, quoted
from sidecar.remote.failures import Garbled, from_obstore, obstore_answer
from sidecar.remote.listing import Lister, Report, every_page
from sidecar.remote.multipart import upload
from sidecar.remote.store import PLAIN, Condition, Download, IfMatch, ObjectInfo, ObjectOptions
from sidecar.tree import ETag, ObjectKey, RemoteEntry

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta, PutMode

_CHUNK: Final = 2**20  # bytes of a body handed on at once
_QUICK_BODY: Final = 256 * 2**10  # bytes that leave within STALL_SECONDS on any link worth the name
# What obstore mixes in among an object's own metadata.
_STANDARD: Final = frozenset(
    {"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control", "Storage-Class"}
)


def _report_nothing(_operation: str, _code: str) -> None:
    pass


class S3Store:
    """An :class:`~sidecar.remote.store.ObjectStore`. Thread-safe.

    ``on_request`` hears of every request: the operation, and the HTTP status or ``error``.
    ``stall`` is after how many seconds without a byte a connection counts as dead; ``sending`` takes
    its place while a body of some size is on its way out, or a copy is being made.
    """

    def __init__(
        self,
        storage: Storage,
        credentials: Credentials = Credentials.KEYS,
        *,
        attempt: Attempt = once,
        on_request: Report = _report_nothing,
        stall: float = STALL_SECONDS,
        sending: float = SENDING_SECONDS,
    ) -> None:
        source = key_source(storage, credentials)
        self._bucket = storage.bucket
        self._attempt = attempt
        self._report = on_request
        self._lister = Lister(storage, source, stall, on_request)
        self._control = Control(storage.bucket, lambda: open_client(storage, source, credentials, sending), on_request)
        self._store = open_obstore(storage, source, credentials, stall)
        self._sender = open_obstore(storage, source, credentials, sending)

    def close(self) -> None:
        """Let the connections go; the store is not used after it."""
        self._lister.close()
        self._control.close()

    def list(self, prefix: str) -> Iterator[RemoteEntry]:
        """See :meth:`ObjectStore.list`; each page is one attempt."""
        return every_page(lambda token: self._attempt("list", lambda: self._lister.page(prefix, token)))

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        """See :meth:`ObjectStore.head`. The answer to a HEAD can't tell a missing bucket from a missing key."""
        try:
            return self._control.head(key) if is_odd(key) else self._head(key)
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
            # obstore knows a content type and no other option of a single object.
            if is_odd(key) or options != ObjectOptions(options.content_type):
                return self._control.put(key, body, metadata, condition, options)
            with self._request("put", key):
                attributes = {"Content-Type": options.content_type, **metadata}
                mode = _mode(condition)
                store = self._store if len(body) <= _QUICK_BODY else self._sender
                result = obstore.put(store, sendable(key), body, attributes=attributes, mode=mode, use_multipart=False)
            return bare(result["e_tag"] or "")
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
        return upload(self._control, self._attempt, key, size, chunks, metadata, condition, confirm, options)

    def get(self, key: ObjectKey, etag: ETag) -> AbstractContextManager[Download]:
        """See :meth:`ObjectStore.get`. One request, read front to back; a body that breaks off is Transient."""
        return self._control.get(key, etag) if is_odd(key) else self._get(key, etag)

    def copy(self, source: ObjectKey, target: ObjectKey) -> None:
        """See :meth:`ObjectStore.copy`. Objects over 5 GiB are refused by the server."""
        self._control.copy(source, target)

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """See :meth:`ObjectStore.delete`."""
        self._control.delete(key, etag)

    def check(self) -> None:
        """See :meth:`ObjectStore.check`: lists one object, which needs no more than a bucket check would."""
        self._lister.page("", None, limit=1)

    def _head(self, key: ObjectKey) -> ObjectInfo:
        try:
            # Not obstore.head: it leaves the metadata out.
            with self._request("head", key):
                return _info(obstore.get(self._store, sendable(key), options={"head": True}))
        except Garbled:
            return self._control.head(key)

    @contextmanager
    def _get(self, key: ObjectKey, etag: ETag) -> Iterator[Download]:
        result = self._open(key, etag)
        if result is None:
            with self._control.get(key, etag) as download:
                yield download
            return
        info = _info(result)
        yield Download(info, _chunks(key, result, info.size))

    def _open(self, key: ObjectKey, etag: ETag) -> GetResult | None:
        """obstore's answer, or None where it chokes on the headers: metadata of others need not be ASCII."""
        try:
            with self._request("get", key):
                return obstore.get(self._store, sendable(key), options={"if_match": quoted(etag)})
        except Garbled:
            return None

    @contextmanager
    def _request(self, operation: str, key: ObjectKey) -> Iterator[None]:
        """Count what happens inside as one request, and raise only the sidecar's errors from it."""
        code = "error"
        try:
            yield
            code = "200"
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            answer = obstore_answer(error)
            code = str(answer.status) if answer else "error"
            fault = from_obstore(operation, key, error)
            raise self._told_better(fault) if isinstance(fault, ClockSkewed) else fault from error
        finally:
            self._report(operation, code)

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


def _mode(condition: Condition | None) -> PutMode:
    if condition is None:
        return "overwrite"
    return {"e_tag": quoted(condition.etag)} if isinstance(condition, IfMatch) else "create"


def _info(result: GetResult) -> ObjectInfo:
    meta: ObjectMeta = result.meta
    attributes: dict[Any, str] = result.attributes
    metadata = {name.lower(): value for name, value in attributes.items() if name not in _STANDARD}
    return ObjectInfo(meta["size"], bare(meta["e_tag"] or ""), meta["last_modified"].timestamp(), metadata)


def _chunks(key: ObjectKey, result: GetResult, size: int) -> Iterator[bytes]:
    received = 0
    try:
        for chunk in result.stream(min_chunk_size=_CHUNK):
            received += len(chunk)
            yield bytes(chunk)
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        raise from_obstore("get", key, error) from error
    if received != size:
        raise Transient("get", key, f"the body ended after {received} of {size} bytes")
