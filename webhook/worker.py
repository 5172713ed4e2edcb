"""gunicorn's threaded worker, with its threads for requests alone.

gunicorn gives a connection a thread with its first byte: for a handshake that is never finished, for a request
that never comes. A few clients that say nothing, and no pod's review is answered any more. Here each waits in
the poller, which holds a thousand, until the head of a request is there; threads at the door, who never wait,
go on with handshakes and heads as far as they have come. What is begun must be finished within
:data:`PATIENCE`, at the door or in a thread of its own.

Knows nothing of admission, and nothing of where contexts come from.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gunicorn.http import get_parser
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from runtime.logs import fields

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0  # seconds for a handshake and a head, and for the rest of a request; it takes milliseconds
_LINGER: Final = 2.0  # seconds that a client gets to read the last answer
_HEAD_LIMIT: Final = 64 * 1024  # bytes; gunicorn refuses smaller ones
_CHUNK: Final = 8192  # bytes
_AT_THE_DOOR: Final = 2  # threads
_ANSWER: Final = object()  # the request is there


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A client's connection. ``due``: until when it must have done what it has begun; None: it has begun nothing."""

    sock: Any  # a socket.socket, and then an ssl.SSLSocket
    initialized: bool

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.due: float | None = time.monotonic() + PATIENCE
        self.answered = False  # for the last time: only the client's end is awaited

    def request_is_there(self) -> bool:
        """Go on with handshake and head as far as they have come.

        Raises:
            OSError: the client has gone, or does not speak TLS.
        """
        if self.due is None:
            self.due = time.monotonic() + PATIENCE
        try:
            self.sock.setblocking(False)  # after an answer it is not
            self._shake_hands()
            self._read_head()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        self.data_ready = True  # gunicorn need not wait
        return True

    def _shake_hands(self) -> None:
        if self.initialized:
            return
        if not isinstance(self.sock, ssl.SSLSocket):
            self.sock = ssl_wrap_socket(self.sock, self.cfg)
        self.sock.do_handshake()
        self.parser = get_parser(self.cfg, self.sock, self.client)
        self.initialized = True

    def _read_head(self) -> None:
        received = self.parser.unreader.take_buffered()
        try:
            while b"\r\n\r\n" not in received and len(received) < _HEAD_LIMIT:
                chunk = self.sock.recv(_CHUNK)
                if not chunk:
                    raise ConnectionAbortedError("the client has gone")
                received += chunk
        finally:
            self.parser.unreader.unread(received)

    def half_close(self) -> bool:
        """Say that there is no more to come; whether the client's end is worth waiting for.

        Closed at once with bytes unread, the connection would be reset, and the client's answer lost.
        """
        self.answered, self.due = True, time.monotonic() + _LINGER
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
            self.sock.setblocking(False)
        except OSError:
            return False
        return not self.has_ended()

    def has_ended(self) -> bool:
        """Whether the client has closed its side too; what still comes is read away."""
        try:
            while socket.socket.recv(self.sock, _CHUNK):
                if self.is_overdue(time.monotonic()):
                    return True
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def is_overdue(self, now: float) -> bool:
        return self.due is not None and now > self.due

    def cut(self) -> None:
        """End it under a thread that reads from it."""
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002 - gunicorn's lingers in its main loop
        """Close at once; see :meth:`half_close`."""
        super().close()


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn calls it; see there, and the module."""

    pending_conns: deque[Connection]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = ThreadPoolExecutor(_AT_THE_DOOR, "door")
        self._answering: dict[Connection, float] = {}  # in a thread, until when

    def accept(self, listener: Any) -> None:
        """Called in the main loop."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))

    def enqueue_req(self, conn: Connection) -> None:
        """Called in the main loop: something came on ``conn``."""
        self._door.submit(self._meet, conn).add_done_callback(partial(self._met, conn))

    def _meet(self, conn: Connection) -> object:
        """Whether there is something to answer, or to wait for, or nothing (False)."""
        if conn.answered:
            return False if conn.has_ended() else _DEFER
        try:
            if conn.request_is_there():
                return _ANSWER
        except OSError as error:  # ssl.SSLError is one
            log.debug("connection closed before a request", **fields(error=str(error)))
            return False
        return False if conn.is_overdue(time.monotonic()) else _DEFER

    def _met(self, conn: Connection, met: Future[object]) -> None:
        if not met.exception() and met.result() is _ANSWER:
            super().enqueue_req(conn)
        else:
            self.method_queue.defer(self.finish_request, conn, met)

    def handle(self, conn: Connection) -> object:
        """Called in a thread: whether the connection is kept alive (True), waits in the poller, or is closed."""
        self._answering[conn] = time.monotonic() + PATIENCE
        try:
            kept = super().handle(conn)
        finally:
            del self._answering[conn]
        if kept:
            conn.due = None
            return True
        return _DEFER if conn.half_close() else False

    def murder_pending(self) -> None:
        """Called in the main loop, each second at least: end what is overdue."""
        for conn in self.pending_conns:
            conn.timeout = conn.due
        self.pending_conns = deque(sorted(self.pending_conns, key=lambda conn: conn.timeout))
        super().murder_pending()
        now = time.monotonic()
        for conn, until in list(self._answering.items()):
            if now > until:
                conn.cut()
