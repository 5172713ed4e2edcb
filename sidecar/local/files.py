"""Reading a file so that what is sent is one state of it, never a mixture.

The descriptor is looked at when it is opened and again after its bytes were read, before anything
becomes visible elsewhere. A file that only grew meanwhile (a log) is a good snapshot as far as it
was read; anything else has changed under our hands and waits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sidecar.errors import ChangedWhileReading, from_os_error
from sidecar.local.directories import fingerprint_of
from sidecar.tree import Fingerprint

CHUNK: Final = 4 * 2**20  # bytes read at a time from a large file

Beat = Callable[[], None]


class Snapshot(NamedTuple):
    """A whole small file as it was read. ``settled`` is false when it changed while being read."""

    body: bytes
    fingerprint: Fingerprint
    sha256: bytes
    settled: bool


def look(fd: int, path: str) -> Fingerprint:
    """The fingerprint of an open file."""
    try:
        return fingerprint_of(os.fstat(fd))
    except OSError as error:
        raise from_os_error("look at", path, error) from error


def read_snapshot(fd: int, path: str, before: Fingerprint, *, patient: bool) -> Snapshot:
    """The content of a small open file, which was as ``before`` when it was opened.

    Raises:
        ChangedWhileReading: it changed otherwise than by growing, and ``patient`` says to wait.
        LocalFault: it cannot be read.
    """
    body = _read(fd, path, 0, before.size)
    after = look(fd, path)
    settled = len(body) == before.size and (after == before or _only_grew(fd, path, body, after))
    if not settled and patient:
        raise ChangedWhileReading("read", path, "it is being written")
    return Snapshot(body, before, hashlib.sha256(body).digest(), settled)


def hash_file(fd: int, path: str, size: int, beat: Beat) -> bytes:
    """SHA-256 of the first ``size`` bytes of an open file.

    Raises:
        ChangedWhileReading: it has fewer.
        LocalFault: it cannot be read.
    """
    digest = hashlib.sha256()
    for chunk in read_chunks(fd, path, size, beat):
        digest.update(chunk)
    return digest.digest()


def read_chunks(fd: int, path: str, size: int, beat: Beat) -> Iterator[bytes]:
    """The first ``size`` bytes of an open file in chunks of :data:`CHUNK`; ``beat`` is called for each.

    Raises:
        ChangedWhileReading: it has fewer.
        LocalFault: it cannot be read.
    """
    offset = 0
    while offset < size:
        beat()
        chunk = _read(fd, path, offset, min(CHUNK, size - offset))
        if not chunk:
            raise ChangedWhileReading("read", path, f"it shrank to {offset} bytes")
        offset += len(chunk)
        yield chunk


def _only_grew(fd: int, path: str, body: bytes, after: Fingerprint) -> bool:
    return after.size > len(body) and _read(fd, path, 0, len(body)) == body


def _read(fd: int, path: str, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes at ``offset``: fewer only at the end of the file."""
    parts: list[bytes] = []
    missing = size
    try:
        while missing and (part := os.pread(fd, missing, offset)):
            parts.append(part)
            offset += len(part)
            missing -= len(part)
    except OSError as error:
        raise from_os_error("read", path, error) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)
