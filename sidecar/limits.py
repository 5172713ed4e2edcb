"""Room: what ingress may take of the device, counted before it is taken.

A download reserves its size before its first byte and gives the reservation back once the file is
in place (when ``statvfs`` counts it) or abandoned. So any number of parallel downloads together
never go below the floor. Promise 13: ingress never fills the device.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, NamedTuple

from contract.quantity import parse_bytes, parse_share
from sidecar.errors import NoRoom, from_os_error
from sidecar.loop import in_loop, step_aside

FEW_BYTES: Final = 32 * 2**10
LEAST_FREE_BYTES: Final = 256 * 2**20
LEAST_FREE_SHARE: Final = 0.15
LEAST_FREE_INODES: Final = 0.10
_NOTHING: Final = nullcontext()
_LOOK_AGAIN: Final = 0.02  # seconds


class Floor(NamedTuple):
    """Space that ingress leaves free: the larger of ``bytes`` and ``share`` (0 to 1) of the file system."""

    bytes: int = LEAST_FREE_BYTES
    share: float = LEAST_FREE_SHARE

    @staticmethod
    def parse(text: str) -> Floor:
        """``15%`` or a byte count.

        Raises:
            ValueError: it is neither.
        """
        if text.endswith("%"):
            return Floor(0, parse_share(text))
        return Floor(parse_bytes(text), 0.0)


class Space:
    """Room on the file system of the exported directory. Thread-safe."""

    def __init__(
        self,
        path: str,
        floor: Floor,
        ceiling: int | None = None,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._path = path
        self._floor = floor
        self._ceiling = ceiling
        self._statvfs = statvfs
        self._lock = threading.Lock()
        self._reserved = 0
        self._files = 0
        self._used = 0

    @property
    def has_ceiling(self) -> bool:
        """Whether what ingress holds must be known before it may grow."""
        return self._ceiling is not None

    def set_used(self, size: int) -> None:
        """Tell how many bytes ingress holds on the device now, conflict copies included."""
        with self._lock:
            self._used = size

    def look(self) -> tuple[int, int, int]:
        """Bytes free on the file system, bytes it has, and bytes that ingress leaves free.

        Raises:
            LocalFault: it cannot be asked.
        """
        status = self._stat()
        return _available(status), status.f_blocks * status.f_frsize, self._least_free(status)

    def reserve(self, size: int, path: str) -> None:
        """Set ``size`` bytes and one inode apart for ``path``.

        Raises:
            NoRoom: naming which limit forbids it; nothing is reserved then.
        """
        status = self._stat()
        floor = self._least_free(status)
        with self._lock:
            left = _available(status) - self._reserved - size
            if left < floor:
                raise NoRoom("download", path, f"{size} bytes would leave {max(0, left)} free, the floor is {floor}")
            if self._ceiling is not None and self._used + self._reserved + size > self._ceiling:
                raise NoRoom(
                    "download", path, f"ingress holds {self._used + self._reserved} of {self._ceiling} bytes allowed"
                )
            if status.f_files and status.f_favail - self._files - 1 < LEAST_FREE_INODES * status.f_files:
                raise NoRoom("download", path, f"only {status.f_favail} of {status.f_files} inodes are free")
            self._reserved += size
            self._files += 1

    def release(self, size: int, *, kept: bool) -> None:
        """Give a reservation back; ``kept`` when the file is in place and so counts as used."""
        with self._lock:
            self._reserved -= size
            self._files -= 1
            if kept:
                self._used += size

    def _least_free(self, status: os.statvfs_result) -> int:
        return max(self._floor.bytes, int(self._floor.share * status.f_blocks * status.f_frsize))

    def _stat(self) -> os.statvfs_result:
        try:
            return self._statvfs(self._path)
        except OSError as error:
            raise from_os_error("statvfs", self._path, error) from error


class Bandwidth:
    """At most ``rate`` bytes a second over all threads, with bursts of one second. None: no limit.

    ``sleep`` waits up to so many seconds and returns true when the wait was cut short by a stop.
    """

    def __init__(
        self, rate: int | None, sleep: Callable[[float], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0  # when the bytes granted so far will have been sent at the rate

    def take(self, size: int) -> None:
        """Wait until ``size`` bytes may go; a stop ends the wait, so that the last flush is not held up."""
        if self._rate is None:
            return
        now = self._clock()
        with self._lock:
            wait = max(self._next, now - 1.0) - now
            self._next = max(self._next, now - 1.0) + size / self._rate
        if wait > 0:
            self._sleep(wait)


class Memory:
    """Bytes of bodies that may be held at once, over all threads. Whoever asks for more than all gets all.

    A thread leases once at a time, so that none waits for what it holds itself. Up to :data:`FEW_BYTES`
    are given without counting: however many threads there are, that is little.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._freed = threading.Condition()

    def lease(self, size: int) -> AbstractContextManager[None]:
        """Wait until ``size`` bytes may be held, and hold them."""
        return _NOTHING if size <= FEW_BYTES else self._lease(size)

    @contextmanager
    def _lease(self, size: int) -> Iterator[None]:
        size = min(size, self._size)
        self._take(size)
        try:
            yield
        finally:
            with self._freed:
                self._left += size
                self._freed.notify_all()

    def _take(self, size: int) -> None:
        while True:
            with self._freed:
                if not in_loop():
                    self._freed.wait_for(lambda: self._left >= size)
                if self._left >= size:
                    self._left -= size
                    return
            step_aside(_LOOK_AGAIN)  # what is missing may be held by a task of this very thread


def _available(status: os.statvfs_result) -> int:
    return status.f_bavail * status.f_frsize
