"""SHA-256 of large files, read through one small buffer; of the whole, and of each part beside it.

Hashing lets other threads run, so the two hashes cost the time of one where a second core is free.
What a file that changes meanwhile means is ``files.py``'s and the caller's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from sidecar.errors import ChangedWhileReading, from_os_error

_BUFFER: Final = 2**20  # bytes

Beat = Callable[[], None]


def read_into(fd: int, path: str, offset: int, view: memoryview) -> None:
    """Fill ``view`` from ``offset`` on.

    Raises:
        ChangedWhileReading: the file ends before.
        LocalFault: it cannot be read.
    """
    done = 0
    while done < len(view):
        try:
            size = os.preadv(fd, [view[done:]], offset + done)
        except OSError as error:
            raise from_os_error("read", path, error) from error
        if not size:
            raise ChangedWhileReading("read", path, f"it shrank to {offset + done} bytes")
        done += size


def hash_whole(fd: int, path: str, size: int, beat: Beat) -> bytes:
    """SHA-256 of the first ``size`` bytes of an open file.

    Raises:
        ChangedWhileReading, LocalFault: as :func:`read_into`.
    """
    digest = hashlib.sha256()
    view = memoryview(bytearray(min(_BUFFER, size)))
    for offset in range(0, size, _BUFFER):
        beat()
        piece = view[: min(_BUFFER, size - offset)]
        read_into(fd, path, offset, piece)
        digest.update(piece)
    return digest.digest()


def hash_parts(fd: int, path: str, size: int, part: int, beat: Beat) -> tuple[bytes, dict[int, bytes]]:
    """SHA-256 of the first ``size`` bytes, and of each part of ``part`` bytes by its offset.

    ``part`` is a multiple of 1 MiB.

    Raises:
        ChangedWhileReading, LocalFault: as :func:`read_into`.
    """
    whole, one = hashlib.sha256(), hashlib.sha256()
    parts: dict[int, bytes] = {}
    views = [memoryview(bytearray(_BUFFER)) for _ in range(2)]
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as beside:
        running: Future[None] | None = None
        for offset in range(0, size, _BUFFER):
            beat()
            piece = views[offset // _BUFFER % 2][: min(_BUFFER, size - offset)]
            read_into(fd, path, offset, piece)
            if running is not None:
                running.result()  # before its hash ends or its buffer is used again
            if offset % part == 0 and offset:
                parts[offset - part] = one.digest()
                one = hashlib.sha256()
            running = beside.submit(one.update, piece)
            whole.update(piece)
        if running is not None:
            running.result()
    parts[(size - 1) // part * part] = one.digest()
    return whole.digest(), parts
