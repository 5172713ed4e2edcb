"""The nouns of a sync: names on both sides, and what was seen under them.

Both kinds of name are text that is valid UTF-8. Python orders such text by code point, which is
the order of its UTF-8 bytes, which is the order of an S3 listing: so streams of either merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple, NewType

# Components joined by "/", relative to a mapping's directory. Never empty, absolute, or with "..".
RelativePath = NewType("RelativePath", str)
# A whole object key in the bucket.
ObjectKey = NewType("ObjectKey", str)
# What the server calls a version of an object: opaque, not an MD5, quotes removed.
ETag = NewType("ETag", str)

SHA256_SIZE: Final = 32


class Fingerprint(NamedTuple):
    """What ``stat`` says of a file's content without reading it. Sizes in bytes, times in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def same_content_likely(self, other: Fingerprint) -> bool:
        """Size and mtime agree: only the inode or ctime moved (chmod, rename over, restored backup)."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


# A file in a plain tuple, for comparing by the thousand what rarely differs: path, size, mtime_ns, ctime_ns, inode,
# and a mark: of a file seen now 0.0. Of a row of the index it is ``recheck_at``, or ``-gone_at`` where that is set.
Outline = tuple[str, int, int, int, int, float]


class LocalEntry(NamedTuple):
    """A regular file seen by the walk."""

    path: RelativePath
    fingerprint: Fingerprint


# An object (or what a row of the index remembers of one) likewise: path, size, ETag, and whether its file must be
# looked at whatever the row says; of a row that is never so.
Version = tuple[str, int, str, bool]


def entry_of(outline: Outline) -> LocalEntry:
    """A file that was seen in outline."""
    path, size, mtime_ns, ctime_ns, inode, _ = outline
    return LocalEntry(RelativePath(path), Fingerprint(size, mtime_ns, ctime_ns, inode))


class RemoteEntry(NamedTuple):
    """An object seen in a listing; ``modified`` in seconds since the epoch, by the server's clock."""

    key: ObjectKey
    size: int
    etag: ETag
    modified: float


class Entries(NamedTuple):
    """Objects seen in a listing, in columns of equal length; ``modified`` as the server writes it (ISO 8601)."""

    keys: list[str]
    sizes: list[int]
    etags: list[str]
    modified: list[str]

    def each(self) -> Iterator[RemoteEntry]:
        """One by one."""
        for key, size, etag, modified in zip(self.keys, self.sizes, self.etags, self.modified, strict=True):
            yield RemoteEntry(ObjectKey(key), size, ETag(etag), seconds(modified))


def entries_of(some: Iterable[RemoteEntry]) -> Entries:
    """``some`` in columns."""
    found = list(some)
    times = [datetime.fromtimestamp(entry.modified, UTC).isoformat() for entry in found]
    return Entries(
        [entry.key for entry in found], [entry.size for entry in found], [entry.etag for entry in found], times
    )


def seconds(moment: str) -> float:
    """Seconds since the epoch of a time in ISO 8601; 0 for one that no calendar has."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0


class Agreed(NamedTuple):
    """What was last known to be the same on both sides: one row of the index.

    ``recheck_at`` (seconds since the epoch, 0 for never): the file was so fresh when it was read that
    a later write may not have moved its mtime; its content is compared once more after that moment.
    ``gone_at`` (likewise): since when a walk has not met the file on the device.
    """

    path: RelativePath
    local: Fingerprint
    sha256: bytes
    etag: ETag
    remote_size: int
    recheck_at: float = 0.0
    gone_at: float = 0.0


class NameFault(NamedTuple):
    """A name that cannot be synced, and why. ``name`` is printable."""

    name: str
    why: str
