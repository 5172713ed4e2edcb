"""A proxy in front of a server that speaks TLS: it can read nothing, but break off anywhere, or send rubbish."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Final

from tests.fakes.proxy import Proxy

_PIECE: Final = 64 * 2**10


class TlsBreaker(Proxy):
    """Bytes passed on as they are, unless ``breaks`` says how many of the server's may pass before the end.

    ``faults`` counts the connections that were broken.
    """

    breaks: int | None = None
    instead: bytes = b""  # what the client gets in place of the rest

    def calm(self) -> None:
        """See :meth:`Proxy.calm`."""
        self.breaks, self.instead = None, b""

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._dialled(client) as server:
            back = threading.Thread(target=self._pump, args=(server, client, self.breaks), name="proxied back")
            back.start()
            self._pump(client, server, None)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        """Pass on what comes, ``limit`` bytes of it at most; then both connections end."""
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if limit is not None and len(piece) > limit:
                    with self._lock:
                        self.faults += 1
                    target.sendall(piece[:limit] + self.instead)
                    break
                target.sendall(piece)
                limit = limit - len(piece) if limit is not None else None
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
