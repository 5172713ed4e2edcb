"""A proxy between a sidecar and a real S3 server that does to requests and answers what a test's script says.

Raw sockets, so that it can do what no HTTP library would: break off in the middle of a body, lie about
a length, drip, fall silent. One thread a connection. It passes the Host header on as it is, which
keeps signatures valid. ``tls_breaker.py`` does what can be done
to bytes that nobody can read.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, Self
from urllib.parse import unquote

HOST: Final = "127.0.0.1"
_PIECE: Final = 64 * 2**10
_PATIENCE: Final = 120.0  # seconds; a connection that is idle for longer is nobody's


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrives, its body still on the way."""

    method: str
    target: str  # decoded
    size: int  # of its body
    fields: dict[str, str]  # header fields, names in lower case

    @property
    def is_listing(self) -> bool:
        """Whether it asks for a page of a listing."""
        return self.method == "GET" and "list-type=" in self.target


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to one request.

    ``answer``: say this, and ask the server nothing. Otherwise ``sent`` bytes of the request's body reach
    the server before the connection breaks, or all of it; then ``told`` bytes of the answer's body reach
    the client before it ``ends`` (``reset``, ``close``, or ``silence`` for ``seconds`` and then close); ``told`` of
    -1 is not even a head. ``rate``: bytes a second both ways. ``change``: another body for the answer.
    """

    answer: bytes | None = None
    sent: int | None = None
    told: int | None = None
    ends: str = "reset"
    seconds: float = 2.0
    rate: int | None = None
    change: Callable[[bytes], bytes] | None = None


Script = Callable[[Asked], Fault | None]


def _let_pass(_asked: Asked) -> Fault | None:
    return None


class Proxy:
    """``with Proxy(port) as proxy:`` in front of ``port``; ``script`` may be set anew at any moment."""

    def __init__(self, upstream: int, script: Script = _let_pass) -> None:
        self.upstream = upstream  # may change; connections that are open stay as they are
        self.script = script
        self.requests: Counter[str] = Counter()  # by method, and "list"
        self.faults = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name="proxy")
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the accept
        self._acceptor.join()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def calm(self) -> None:
        """From now on everything passes."""
        self.script = _let_pass

    def cut(self) -> None:
        """End every connection that is open."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), name="proxied")
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError), self._dialled(client) as server:
            client.settimeout(_PATIENCE)
            with client.makefile("rb") as asks, server.makefile("rb") as answers:
                while not self._stopped.is_set() and self._pass_on(client, asks, server, answers):
                    pass

    @contextmanager
    def _dialled(self, client: socket.socket) -> Iterator[socket.socket]:
        """The connection to the server that belongs to ``client``'s; both end with the block."""
        with client, socket.create_connection((HOST, self.upstream), timeout=_PATIENCE) as server:
            with self._lock:
                self._open |= {client, server}
            try:
                yield server
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _pass_on(self, client: socket.socket, asks: BinaryIO, server: socket.socket, answers: BinaryIO) -> bool:
        """One request and its answer; whether the connection lives on."""
        head = _Head.read(asks)
        if head is None:
            return False
        asked = Asked(head.start.split(" ")[0], unquote(head.start.split(" ")[1]), head.length or 0, head.fields)
        with self._lock:
            self.requests["list" if asked.is_listing else asked.method] += 1
            fault = self.script(asked)
            self.faults += fault is not None
        fault = fault or Fault()
        if head.fields.pop("expect", None):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _pieces(asks, head)
        if fault.answer is not None:
            for _ in body:
                pass
            client.sendall(fault.answer)
            return False
        server.sendall(head.text())
        if not self._send(server, body, fault.sent, fault.rate):
            return _reset(client)
        return self._answer(client, answers, asked, fault)

    def _answer(self, client: socket.socket, answers: BinaryIO, asked: Asked, fault: Fault) -> bool:
        head = _Head.read(answers)
        if head is None:
            return _reset(client)
        if fault.told == -1:
            return self._end(client, fault)
        body = _pieces(answers, head, to=asked.method)
        if fault.change is not None:
            whole = fault.change(_unframed(b"".join(body), head))
            head.fields.pop("transfer-encoding", None)
            head.fields["content-length"] = str(len(whole))
            body = iter((whole,))
        client.sendall(head.text())
        return self._send(client, body, fault.told, fault.rate) or self._end(client, fault)

    def _end(self, client: socket.socket, fault: Fault) -> bool:
        if fault.ends == "reset":
            return _reset(client)
        if fault.ends == "silence":
            self._stopped.wait(fault.seconds)
        return False

    def _send(self, target: socket.socket, body: Iterator[bytes], limit: int | None, rate: int | None) -> bool:
        """Send ``body``, or only ``limit`` bytes of it: then False."""
        for piece in body:
            if limit is not None and len(piece) >= limit:
                target.sendall(piece[:limit])
                return False
            target.sendall(piece)
            limit = limit - len(piece) if limit is not None else None
            if rate:
                time.sleep(len(piece) / rate)
        return limit is None


@dataclass(slots=True)
class _Head:
    """The first line and the header fields, names in lower case."""

    start: str
    fields: dict[str, str]

    @classmethod
    def read(cls, file: BinaryIO) -> _Head | None:
        """The next head; None at the end of the connection."""
        start = file.readline().decode("latin-1").strip()
        if not start:
            return None
        found = {}
        while line := file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            found[name.lower()] = value.strip()
        if " 100 " in f"{start} ":
            return cls.read(file)
        return cls(start, found)

    @property
    def length(self) -> int | None:
        """What Content-Length says."""
        return int(self.fields["content-length"]) if "content-length" in self.fields else None

    def text(self) -> bytes:
        """As it goes over the wire."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")


def _pieces(file: BinaryIO, head: _Head, to: str = "") -> Iterator[bytes]:
    """The body that follows ``head``, as it is on the wire; ``to`` is the method that a response answers."""
    status = head.start.split(" ")[1] if head.start.startswith("HTTP/") else ""
    if to == "HEAD" or status in ("204", "304"):
        return
    if head.fields.get("transfer-encoding", "") == "chunked":
        while True:
            line = file.readline()
            size = int(line.split(b";")[0], 16)
            yield line + file.read(size + 2)
            if not size:
                return
    left = head.length or 0
    while left and (piece := file.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece


def _unframed(body: bytes, head: _Head) -> bytes:
    """``body`` without the framing of chunks, where it has one."""
    if head.fields.get("transfer-encoding", "") != "chunked":
        return body
    whole = b""
    while body:
        line, _, rest = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        whole, body = whole + rest[:size], rest[size + 2 :]
    return whole


def _reset(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False
