"""The addresses of a host, without a name service that is silent holding up everybody.

Part of the S3 adapter, used by ``dial.py``. Nothing that was found is kept, so a server that moved is
found by the next connection. A look-up that failed is kept for as long as it took, within bounds: one that
failed at once may be repeated at once, one that took long is not worth as much again for each file.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from sidecar.loop import in_loop
from sidecar.remote.aside import begin, outcome

KEPT_SECONDS: Final = 5.0  # the longest that a failure is kept
LOOKUP_SECONDS: Final = 20.0  # the longest that a task waits; a look-up of four domains may take that long

Addresses = list[tuple[Any, ...]]  # as getaddrinfo gives them
LookUp = Callable[[str, int], Addresses]


class Names:
    """Looks hosts up. Thread-safe. ``clock`` gives monotonic seconds."""

    def __init__(self, look_up: LookUp | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up or _addresses
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Future[Addresses]] = {}
        self._failed: dict[str, tuple[float, OSError]] = {}  # by host; and until when

    def addresses(self, host: str, port: int) -> Addresses:
        """Where ``host`` is reached, best first. In a loop, all tasks share a look-up that is under way.

        Raises:
            OSError: there is no such host, or nobody says.
        """
        until, error = self._failed.get(host, (0.0, None))
        if error is not None and self._clock() < until:
            raise type(error)(*error.args)  # one of its own: a traceback grows with each raise
        if not in_loop():
            return self._found(host, port)
        try:
            return outcome(self._shared(host, port), LOOKUP_SECONDS)
        except TimeoutError as error:  # it goes on, and whoever asks before it ends waits for the same one
            silent = OSError(f"no name service answers about {host!r}")
            self._remember(host, silent, LOOKUP_SECONDS)
            raise silent from error

    def _found(self, host: str, port: int) -> Addresses:
        began = self._clock()
        try:
            found = self._look_up(host, port)
        except OSError as error:
            self._remember(host, error, self._clock() - began)
            raise
        self._failed.pop(host, None)
        return found

    def _remember(self, host: str, error: OSError, took: float) -> None:
        self._failed[host] = (self._clock() + min(took, KEPT_SECONDS), error)

    def _shared(self, host: str, port: int) -> Future[Addresses]:
        with self._lock:
            future = self._under_way.get((host, port))
            if future is None:
                future = begin(f"look up {host}", lambda: self._found(host, port))
                self._under_way[host, port] = future
                future.add_done_callback(lambda _: self._under_way.pop((host, port), None))
        return future


def _addresses(host: str, port: int) -> Addresses:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as error:  # a label that is too long for any name service
        raise OSError(f"{host!r} is no host name") from error
