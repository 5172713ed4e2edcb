"""A large file as a body whose parts are read in any order, each looked at on its way out.

Where the hash of each part is known from before, a part that reads otherwise is a change under our
hands, and is told at once. How large a part is, and which are sent when, is the store's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.errors import ChangedWhileReading
from sidecar.local.hashing import read_into
from sidecar.remote.store import Part, Parts
from sidecar.transfer.bench import Bench


class FileParts(Parts):
    """The first ``size`` bytes of an open file. Thread-safe.

    ``known``: SHA-256 by offset, of parts of ``part`` bytes; None where nothing is compared. With
    ``patient`` a part that differs ends the upload; without, it goes as it is and ``differed`` says so.
    """

    def __init__(
        self, bench: Bench, fd: int, path: str, size: int, part: int, known: dict[int, bytes] | None, *, patient: bool
    ) -> None:
        self._bench = bench
        self._fd = fd
        self._path = path
        self._size = size
        self._part = part
        self._known = known
        self._patient = patient
        self._buffers: list[bytearray] = []  # used again: fresh memory costs about what reading into it does
        self.differed = False

    def __iter__(self) -> Iterator[bytes]:
        for offset in range(0, self._size, self._part):
            with self.part(offset, min(self._part, self._size - offset)) as part:
                yield bytes(part.body)

    @contextmanager
    def part(self, offset: int, size: int) -> Iterator[Part]:
        """See :meth:`Parts.part`."""
        with self._bench.memory.lease(size):
            self._bench.beat()
            buffer = self._buffers.pop() if self._buffers else bytearray(self._part)
            view = memoryview(buffer)[:size]
            read_into(self._fd, self._path, offset, view)
            digest = hashlib.sha256(view).digest()
            if self._known is not None and self._known.get(offset) != digest:
                self._found_changed()
            self._bench.throttle(size)
            yield Part(view, digest.hex())
            self._buffers.append(buffer)

    def _found_changed(self) -> None:
        if self._patient:
            raise ChangedWhileReading("read", self._path, "it is being written")
        self.differed = True
