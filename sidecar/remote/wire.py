"""Bytes to and from one socket: pieces sent whole, answers read up to a mark or into a buffer.

Part of the S3 adapter. It knows no HTTP; a socket (plain or TLS) comes from ``dial.py``. The socket never
blocks: waits are those of :mod:`sidecar.loop`, and every one of them ends. It never tries anything again.
"""

from __future__ import annotations

import select
import socket
from ssl import SSLSocket, SSLWantReadError, SSLWantWriteError
from typing import Final

from sidecar.loop import readable, writable

_READ: Final = 64 * 2**10  # bytes asked for at once while looking for a mark
_SEND: Final = 256 * 2**10  # bytes handed to the kernel at once: each such piece has the whole time limit
_JOIN: Final = 64 * 2**10  # up to so many bytes, copying two pieces together is cheaper than sending twice


class Broken(Exception):
    """The other side does not speak as it should, or stopped in the middle; the connection is of no more use."""


class UntrustedServer(Exception):
    """No TLS with this server: its certificate does not verify, or it speaks something else."""


class Wire:
    """A socket with what was read ahead. For one thread at a time.

    ``limit``: seconds that may pass without a byte.
    """

    def __init__(self, sock: socket.socket, limit: float) -> None:
        sock.setblocking(False)
        self.limit = limit
        self._sock = sock
        self._descriptor = sock.fileno()
        self._tls = isinstance(sock, SSLSocket)
        self._watch: select.poll | None = None
        self._asked = False  # something was sent since anything was read: the answer will take its time
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
            OSError: as send(2) says; TimeoutError when nothing could be sent for the time limit.
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
            return self._receive(most)
        start, self._at = self._at, self._at + min(left, most)
        return self._ahead[start : self._at]

    def into(self, view: memoryview) -> int:
        """Like :meth:`some`, into ``view``; returns how many bytes."""
        left = len(self._ahead) - self._at
        if not left:
            return self._receive_into(view)
        size = min(left, len(view))
        view[:size] = self._ahead[self._at : self._at + size]
        self._at += size
        return size

    @property
    def silent(self) -> bool:
        """Whether nothing was said since the last answer: a server that ended the connection has."""
        if self._at < len(self._ahead):
            return False
        if self._watch is None:
            self._watch = select.poll()
            self._watch.register(self._descriptor, select.POLLIN)
        return not self._watch.poll(0)

    def _fetch(self) -> bool:
        data = self._receive(_READ)
        self._ahead = self._ahead[self._at :] + data
        self._at = 0
        return bool(data)

    def _receive(self, most: int) -> bytes:
        self._await_answer()
        while True:
            try:
                return self._sock.recv(most)
            except (BlockingIOError, SSLWantReadError):
                readable(self._descriptor, self.limit)
            except SSLWantWriteError:
                writable(self._descriptor, self.limit)

    def _receive_into(self, view: memoryview) -> int:
        self._await_answer()
        while True:
            try:
                return self._sock.recv_into(view)
            except (BlockingIOError, SSLWantReadError):
                readable(self._descriptor, self.limit)
            except SSLWantWriteError:
                writable(self._descriptor, self.limit)

    def _await_answer(self) -> None:
        # Saves a call that would only say "not yet". With TLS some of it may have been read from the socket.
        if self._asked and not self._tls:
            readable(self._descriptor, self.limit)
        self._asked = False

    def _send(self, data: bytes | memoryview) -> None:
        # sendall would give all of it one time limit; a slow link may take as long as it moves.
        sent = self._send_some(data[:_SEND])
        self._asked = True
        if sent == len(data):
            return
        view = memoryview(data)
        while sent < len(view):
            # Before a buffer is full, not when: once full, a third of its megabytes must leave until more is taken.
            writable(self._descriptor, self.limit)
            sent += self._send_some(view[sent : sent + _SEND])

    def _send_some(self, data: bytes | memoryview) -> int:
        while True:
            try:
                return self._sock.send(data)
            except (BlockingIOError, SSLWantWriteError):
                writable(self._descriptor, self.limit)
            except SSLWantReadError:
                readable(self._descriptor, self.limit)
