"""Bytes to and from one socket: pieces sent whole, answers read up to a mark or into a buffer.

Part of the S3 adapter. It knows no HTTP; a socket (plain or TLS) comes from ``dial.py`` with its
time limit set, so every wait here ends. It never tries anything again.
"""

from __future__ import annotations

import select
import socket
from typing import Final

_READ: Final = 64 * 2**10  # bytes asked for at once while looking for a mark
_SEND: Final = 256 * 2**10  # bytes handed to the kernel at once: each such piece has the whole time limit
_JOIN: Final = 64 * 2**10  # up to so many bytes, copying two pieces together is cheaper than sending twice


class Broken(Exception):
    """The other side does not speak as it should, or stopped in the middle; the connection is of no more use."""


class UntrustedServer(Exception):
    """No TLS with this server: its certificate does not verify, or it speaks something else."""


class Wire:
    """A socket with what was read ahead. For one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = b""
        self._at = 0

    @property
    def sock(self) -> socket.socket:
        """The socket itself, for its options."""
        return self._sock

    def close(self) -> None:
        """Let the socket go."""
        self._sock.close()

    def send(self, head: bytes, body: bytes | memoryview) -> None:
        """Send ``head`` and ``body``, in one packet where that is possible.

        Raises:
            OSError: as send(2) says; TimeoutError when nothing could be sent for the socket's time limit.
        """
        if len(body) <= _JOIN:
            self._send(head + body)
            return
        self._send(head)
        self._send(body)

    def until(self, mark: bytes, limit: int) -> bytes:
        """Everything up to ``mark``, which is taken too but not returned.

        Raises:
            Broken: the other side ended before, or it does not come within ``limit`` bytes.
            OSError: as recv(2) says.
        """
        while (end := self._ahead.find(mark, self._at)) < 0:
            if len(self._ahead) - self._at > limit:
                raise Broken(f"no end of it within {limit} bytes")
            if not self._fetch():
                raise Broken("the server ended the connection without a whole answer")
        start, self._at = self._at, end + len(mark)
        return self._ahead[start:end]

    def some(self, most: int) -> bytes:
        """Between 1 and ``most`` bytes, as they come; nothing at the end of the connection."""
        left = len(self._ahead) - self._at
        if not left:
            return self._sock.recv(most)
        start, self._at = self._at, self._at + min(left, most)
        return self._ahead[start : self._at]

    def into(self, view: memoryview) -> int:
        """Like :meth:`some`, into ``view``; returns how many bytes."""
        left = len(self._ahead) - self._at
        if not left:
            return self._sock.recv_into(view)
        size = min(left, len(view))
        view[:size] = self._ahead[self._at : self._at + size]
        self._at += size
        return size

    @property
    def silent(self) -> bool:
        """Whether nothing was said since the last answer: a server that ended the connection has."""
        if self._at < len(self._ahead):
            return False
        watch = select.poll()
        watch.register(self._sock, select.POLLIN)
        return not watch.poll(0)

    def _fetch(self) -> bool:
        data = self._sock.recv(_READ)
        self._ahead = self._ahead[self._at :] + data
        self._at = 0
        return bool(data)

    def _send(self, data: bytes | memoryview) -> None:
        # sendall would give all of it one time limit; a slow link may take as long as it moves.
        sent = self._sock.send(data[:_SEND])
        if sent == len(data):
            return
        view = memoryview(data)
        while sent < len(view):
            sent += self._sock.send(view[sent : sent + _SEND])
