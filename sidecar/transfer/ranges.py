"""Fetching a large object by ranges: several at once into one file, hashed in order as they arrive.

Each range is asked for on condition of the version, and may be asked for again. The hash follows
behind what has arrived without a gap, reading it back from memory's cache of the file; and the disk
begins to write what is there, so that little is left to flush when the last byte comes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sidecar.errors import Corrupted, from_os_error
from sidecar.local.hashing import read_into
from sidecar.local.syscalls import start_writing
from sidecar.remote.store import ObjectInfo
from sidecar.transfer.bench import Bench
from sidecar.tree import ETag, ObjectKey

RANGE: Final = 8 * 2**20  # bytes asked for at once
LEAST: Final = 2 * RANGE  # smaller objects come in one piece
_AT_ONCE: Final = 4
_PIECE: Final = 2**20  # bytes read back at once


class Ranges:
    """One object on its way into the file ``fd``, which is open for reading and writing."""

    def __init__(self, bench: Bench, key: ObjectKey, etag: ETag, size: int, fd: int, path: str) -> None:
        self._bench = bench
        self._key = key
        self._etag = etag
        self._size = size
        self._fd = fd
        self._path = path
        self._next = iter(range(0, size, RANGE))
        self._changed = threading.Condition()
        self._arrived: set[int] = set()  # offsets of ranges that are there and not hashed yet
        self._error: BaseException | None = None
        self._info: ObjectInfo | None = None

    def fetch(self) -> tuple[ObjectInfo, bytes]:
        """What is known of the object, and the SHA-256 of its body.

        Raises:
            SyncError: it cannot be had; the file holds part of it.
        """
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="range") as pool:
            for _ in range(_AT_ONCE):
                pool.submit(self._work)
            try:
                digest = self._hash()
            except BaseException as error:
                self._fail(error)
                raise
        assert self._info is not None  # every range told it
        return self._info, digest

    def _hash(self) -> bytes:
        digest = hashlib.sha256()
        view = memoryview(bytearray(_PIECE))
        for start in range(0, self._size, RANGE):
            self._await(start)
            for offset in range(start, min(start + RANGE, self._size), _PIECE):
                piece = view[: min(_PIECE, self._size - offset)]
                read_into(self._fd, self._path, offset, piece)
                digest.update(piece)
        return digest.digest()

    def _await(self, offset: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or offset in self._arrived)
            if self._error is not None:
                raise self._error
            self._arrived.remove(offset)

    def _work(self) -> None:
        try:
            for offset in self._offsets():
                self._one(offset, min(RANGE, self._size - offset))
        except BaseException as error:
            self._fail(error)  # the one who waits must hear of it, whatever it is
            raise

    def _one(self, offset: int, size: int) -> None:
        info = self._bench.store.read_range(self._key, self._etag, offset, size, self._write)
        if info.size != self._size:
            raise Corrupted("get", self._key, f"it has {info.size} bytes, {self._size} were listed")
        start_writing(self._fd, offset, size)
        with self._changed:
            self._info = info
            self._arrived.add(offset)
            self._changed.notify_all()

    def _offsets(self) -> Iterator[int]:
        while True:
            with self._changed:
                offset = None if self._error is not None else next(self._next, None)
            if offset is None:
                return
            yield offset

    def _write(self, offset: int, piece: memoryview) -> None:
        self._bench.beat()
        self._bench.throttle(len(piece))
        try:
            while piece:
                size = os.pwrite(self._fd, piece, offset)
                offset, piece = offset + size, piece[size:]
        except OSError as error:
            raise from_os_error("write", self._path, error) from error

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()


def worthwhile(size: int) -> bool:
    """Whether an object of ``size`` bytes is fetched by ranges."""
    return size > LEAST
