"""A server that answers what a test tells it to, byte for byte, and remembers what it was asked.

For what no real S3 server does on demand: errors, resets, answers cut short, silence. One request a
connection; what it says is the test's to write.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType
from typing import BinaryIO, Self

from contract.storage import Storage

HOST = "127.0.0.1"
_PIECE = 256 * 2**10  # bytes of a body read at once


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """Send ``data``, then break the connection with an RST."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Silence:
    """Send ``data``, then nothing more, with the connection open."""

    data: bytes = b""


Reaction = bytes | Reset | Silence


def response(status: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """An HTTP response; ``length`` announces another size than the body has, ``_`` in names stands for ``-``."""
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body) if length is None else length}"]
    lines += ["Connection: close", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not any(name.lower() == "date" for name in headers):
        lines.append(f"Date: {formatdate(usegmt=True)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(status: int, code: str, **headers: str) -> bytes:
    """An S3 error document."""
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>words</Message></Error>".encode()
    return response(status, body, length=None, **headers)


@dataclass
class FaultServer:
    """``with FaultServer(react) as server:``; ``react`` decides on each request."""

    react: Callable[[Request], Reaction]
    host: str = HOST
    pause: float = 0.0  # seconds between two pieces of a request's body: a slow link
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family)
        if self.pause:  # else the kernel would take the whole body at once
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the accept
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def storage(self) -> Storage:
        """A bucket on this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Storage("bucket", host, self.port, "http", "us-east-1", False, "AKGIVEN", "secret-given")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                self._answer(connection)
            except OSError:
                return  # the client left

    def _answer(self, connection: socket.socket) -> None:
        request = self._read(connection)
        if request is None:
            return
        self.requests.append(request)
        reaction = self.react(request)
        connection.sendall(reaction if isinstance(reaction, bytes) else reaction.data)
        if isinstance(reaction, Reset):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(reaction, Silence):
            self._stopped.wait()

    def _read(self, connection: socket.socket) -> Request | None:
        with connection.makefile("rb") as file:
            line = file.readline().decode()
            if not line:
                return None
            headers = {}
            while text := file.readline().decode().strip():
                name, _, value = text.partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("expect") == "100-continue":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b"".join(self._pieces(file, int(headers.get("content-length", "0"))))
        method, target, _ = line.split(" ", 2)
        return Request(method, target, headers, body)

    def _pieces(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        for start in range(0, size, _PIECE):
            yield file.read(min(_PIECE, size - start))
            self._stopped.wait(self.pause)
