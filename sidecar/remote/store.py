"""ObjectStore: what the sidecar asks of a bucket, and what it may rely on.

``tests/conformance/`` holds every implementation to these promises: the fake, and the real
adapter against real servers. Keys are whole keys in the bucket. Every method may raise any
:class:`~sidecar.errors.SyncError` but no library's exception.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

from sidecar.errors import Refused
from sidecar.tree import Entries, ETag, ObjectKey, RemoteEntry


class NoRanges(Refused):
    """The server gives whole objects only."""


SMALL_BODY: Final = 8 * 2**20  # bytes; up to this an object goes in one PUT, read whole
LARGEST_COPY: Final = 5 * 2**30  # bytes; up to this S3 copies an object in one request

# User metadata that the sidecar writes; values are ASCII.
META_SHA256: Final = "data-sync-sha256"  # hex, of the body
META_MTIME: Final = "data-sync-mtime"  # seconds since the epoch with nine decimals
META_WRITER: Final = "data-sync-writer"  # the id of the directory it came from


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """Write only where no object of that key exists."""


class IfMatch(NamedTuple):
    """Write only over the object version that has this ETag."""

    etag: ETag


Condition = IfAbsent | IfMatch


class ObjectOptions(NamedTuple):
    """How an object is stored, beside its body and metadata: what a mapping asks for, as S3 headers.

    An empty text asks for nothing: the bucket's own default holds. ``tags`` are pairs of key and value.
    """

    content_type: str = "application/octet-stream"
    storage_class: str = ""
    encryption: str = ""  # AES256 or aws:kms
    kms_key_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def tagging(self) -> str:
        """The tags as the header ``x-amz-tagging`` wants them."""
        return urlencode(self.tags)

    def headers(self) -> dict[str, str]:
        """The HTTP headers of a PUT, or of the request that begins a multipart upload."""
        headers = {
            "content-type": self.content_type,
            "x-amz-storage-class": self.storage_class,
            "x-amz-server-side-encryption": self.encryption,
            "x-amz-server-side-encryption-aws-kms-key-id": self.kms_key_id,
            "x-amz-tagging": self.tagging,
        }
        return {name: value for name, value in headers.items() if value}


PLAIN: Final = ObjectOptions()


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of one object; metadata keys are lower case, without the ``x-amz-meta-`` prefix."""

    size: int
    etag: ETag
    modified: float
    metadata: dict[str, str] = field(default_factory=dict)


class Download(NamedTuple):
    """An object being read: its info and its body in chunks of at most a few MiB.

    The chunks add up to ``info.size`` bytes of that one version, or iterating raises.
    """

    info: ObjectInfo
    chunks: Iterator[bytes]


class HashedBody(bytes):
    """A whole body whose SHA-256 (hex) is known already, so that signing it need not hash it again."""

    sha256: str

    @staticmethod
    def of(body: bytes, sha256: bytes) -> HashedBody:
        """``body`` with its hash."""
        hashed = HashedBody(body)
        hashed.sha256 = sha256.hex()
        return hashed


class Part(NamedTuple):
    """Part of a body, and its SHA-256 in hex. ``body`` is good until the context that gave it is left."""

    body: memoryview
    sha256: str


class Parts(Iterable[bytes]):
    """A body that can also be read in parts: in any order, several at once, and again."""

    @abstractmethod
    def part(self, offset: int, size: int) -> AbstractContextManager[Part]:
        """``size`` bytes from ``offset`` on, read when the context is entered.

        Raises:
            ChangedWhileReading: it is not any more what it was.
        """


class ObjectStore(Protocol):
    """A bucket. Thread-safe: any number of calls at once."""

    def list(self, prefix: str) -> Iterator[RemoteEntry]:
        """Every object whose key starts with ``prefix``, lazily, in the server's order.

        Keys come exactly as stored: control characters, ``//``, ``..`` and a trailing ``/`` included.
        An empty iterator means the server said that nothing is there; a listing that breaks off
        raises :class:`Transient`, and never just ends.

        Raises:
            NoSuchBucket, AccessDenied, Unreachable, ...
        """

    def pages(self, prefix: str) -> Iterator[Entries]:
        """As :meth:`list`, some at a time, never none."""

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        """What is known of ``key``, or None where there is no such object."""

    def put(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None = None,
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """Store ``body`` (at most :data:`SMALL_BODY` bytes) under ``key``: all of it or nothing.

        Returns the new version's ETag. Without a condition it overwrites.

        Raises:
            PreconditionFailed: ``condition`` does not hold; nothing was written.
        """

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
        """Store a body of any size by multipart. ``chunks`` are read one after the other, :class:`Parts`
        in any order.

        An upload of :class:`Parts` whose metadata tells their hash may be left unfinished where the server
        or we stop in the middle; the next call for the same key and metadata goes on with it.

        ``size`` is about how many bytes will come; it sizes the parts. ``confirm`` is called after the
        last chunk was sent and before the object becomes visible; whatever it (or ``chunks``) raises
        aborts the upload, leaves the object as it was and passes on. Memory stays below a few parts.

        Raises:
            PreconditionFailed: ``condition`` does not hold; nothing became visible.
        """

    def end_abandoned(self, prefix: str, before: float) -> None:
        """Abort uploads of ours below ``prefix`` that were left unfinished and not gone on with since ``before``.

        Only those that our own state names; ``before`` is in seconds since the epoch. Never fails.
        """

    def get(self, key: ObjectKey, etag: ETag) -> AbstractContextManager[Download]:
        """Read the version ``etag`` of ``key``. Leaving the context drops the connection.

        Raises:
            NotFound: no such object (any more).
            PreconditionFailed: the object is another version by now.
        """

    def read_range(
        self, key: ObjectKey, etag: ETag, start: int, size: int, write: Callable[[int, memoryview], None]
    ) -> ObjectInfo:
        """Read ``size`` bytes of the version ``etag`` from ``start`` on; returns what is known of the object.

        ``write`` is called with the offset of each piece as it comes, and may be called again for the same
        bytes when the range is tried again. A piece is good until ``write`` returns.

        Raises:
            NotFound, PreconditionFailed: as :meth:`get`.
            NoRanges: the server gives whole objects only.
        """

    def copy(self, source: ObjectKey, target: ObjectKey, etag: ETag | None = None) -> None:
        """Copy an object of at most :data:`LARGEST_COPY` bytes inside the bucket, metadata included.

        Its bytes do not come through here.

        Raises:
            NotFound: there is no such object (any more).
            PreconditionFailed: it is another version than ``etag`` by now; nothing was written. Not every server
                heeds the condition on a copy.
        """

    def copy_large(self, source: ObjectKey, target: ObjectKey, etag: ETag, beat: Callable[[], None]) -> None:
        """As :meth:`copy`, for objects of any size, to a key where none is. Tags are not copied.

        ``beat`` is called again and again, in any thread; what it raises ends the copy and passes on.
        """

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """Remove the version ``etag`` of ``key``; no error where it is gone already.

        The request carries the condition, but not every server heeds it on a removal: who calls this
        has looked by :meth:`head` just before.

        Raises:
            PreconditionFailed: the object is another version by now; it stays.
        """

    def check(self) -> None:
        """Make sure that the bucket is there and may be used.

        Raises:
            NoSuchBucket, AccessDenied, Untrusted, ClockSkewed, Unreachable: naming what is wrong.
        """
