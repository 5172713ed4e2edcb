"""The nouns of a sync: names on both sides, and what was seen under them.

Both kinds of name are text that is valid UTF-8. Python orders such text by code point, which is
the order of its UTF-8 bytes, which is the order of an S3 listing: so streams of either merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

# Components joined by "/", relative to a mapping's directory. Never empty, absolute, or with "..".
RelativePath = NewType("RelativePath", str)
# A whole object key in the bucket.
ObjectKey = NewType("ObjectKey", str)
# What the server calls a version of an object: opaque, not an MD5, quotes removed.
ETag = NewType("ETag", str)

SHA256_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Fingerprint:
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


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A regular file seen by the walk."""

    path: RelativePath
    fingerprint: Fingerprint


def entry_of(outline: Outline) -> LocalEntry:
    """A file that was seen in outline."""
    path, size, mtime_ns, ctime_ns, inode, _ = outline
    return LocalEntry(RelativePath(path), Fingerprint(size, mtime_ns, ctime_ns, inode))


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """An object seen in a listing; ``modified`` in seconds since the epoch, by the server's clock."""

    key: ObjectKey
    size: int
    etag: ETag
    modified: float


@dataclass(frozen=True, slots=True)
class Agreed:
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


@dataclass(frozen=True, slots=True)
class NameFault:
    """A name that cannot be synced, and why. ``name`` is printable."""

    name: str
    why: str
