"""Connections kept for the next request.

Part of the S3 adapter. The one used last is used next, so those too many grow old and are dropped.
One that the server has closed meanwhile is noticed before anything is sent on it; the small rest of
that race is an ordinary broken connection, and ``retry.py``'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from sidecar.remote.dial import Address, Dialer
from sidecar.remote.http import Connection

IDLE_SECONDS: Final = 30.0  # after so long a server or a firewall may have forgotten it


class Pool:
    """Connections by address. Thread-safe; it bounds nothing but the age of what is idle."""

    def __init__(self, dialer: Dialer, clock: Callable[[], float] = time.monotonic) -> None:
        self._dialer = dialer
        self._clock = clock
        self._idle: dict[Address, list[Connection]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def take(self, address: Address) -> Connection:
        """A connection to ``address`` that nobody else uses; :meth:`give_back` it.

        Raises:
            UntrustedServer, Broken, OSError: as :meth:`Dialer.dial` says.
        """
        while (connection := self._pop(address)) is not None:
            if connection.silent:
                return connection
            connection.close()
        return self._dialer.dial(address)

    def give_back(self, address: Address, connection: Connection) -> None:
        """Keep ``connection`` where it can be used again, else close it."""
        if not connection.reusable:
            connection.close()
            return
        self._dialer.remember(address, connection)
        now = self._clock()
        connection.idle_since = now
        with self._lock:
            if not self._closed:
                self._idle.setdefault(address, []).append(connection)
                old = self._too_old(now)
            else:
                old = [connection]
        for each in old:
            each.close()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _pop(self, address: Address) -> Connection | None:
        with self._lock:
            idle = self._idle.get(address)
            if not idle:
                return None
            connection = idle.pop()
        if self._clock() - connection.idle_since < IDLE_SECONDS:
            return connection
        connection.close()
        return self._pop(address)

    def _too_old(self, now: float) -> list[Connection]:
        """Take out what nobody will use any more; the oldest are in front."""
        old = []
        for connections in self._idle.values():
            while connections and now - connections[0].idle_since >= IDLE_SECONDS:
                old.append(connections.pop(0))
        return old
