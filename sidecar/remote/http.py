"""HTTP/1.1 as far as S3 needs it: one request at a time on one connection, and its answer.

Part of the S3 adapter. Requests come ready to send (``signing.py`` made them); bodies are read by
``body.py``. It follows no redirect and tries nothing again: see ``client.py`` and ``retry.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sidecar.remote.body import Body, Chunked, Nothing, Sized, ToTheEnd
from sidecar.remote.wire import Broken, Wire

HEAD_LIMIT: Final = 64 * 2**10  # bytes of an answer's status line and headers
_INTERIM_LIMIT: Final = 10  # answers with 1xx before the real one


@dataclass(slots=True)
class Response:
    """An answer; header names are lower case, values of repeated ones joined by a comma."""

    status: int
    headers: dict[str, str]
    body: Body
    lasting: bool  # whether the connection may be used again once the body is read


class Connection:
    """One connection to a server or proxy. For one thread at a time."""

    def __init__(self, sock: socket.socket, stall: float) -> None:
        self._wire = Wire(sock, stall)
        self._stall = stall
        self._last: Response | None = None
        self.idle_since = 0.0  # for the pool
        self.session_known = False  # for the dialer

    def close(self) -> None:
        """Let the socket go."""
        self._wire.close()

    @property
    def sock(self) -> socket.socket:
        """The socket itself."""
        return self._wire.sock

    @property
    def reusable(self) -> bool:
        """Whether the last answer was read whole and the server keeps the connection."""
        return self._last is not None and self._last.lasting and self._last.body.ended

    @property
    def silent(self) -> bool:
        """Whether the server has said nothing since: false also where it has hung up."""
        return self._wire.silent

    def request(self, method: str, head: bytes, body: bytes | memoryview, patience: float) -> Response:
        """Send a request and read the head of its answer; the server may take ``patience`` seconds for it.

        Raises:
            Broken: what came is no HTTP, or the server hung up.
            OSError: as the socket says; TimeoutError where nothing moved for too long.
        """
        self._last = None
        self._wire.limit = self._stall
        refused: OSError | None = None
        try:
            self._wire.send(head, body)
        except TimeoutError:
            raise
        except OSError as error:  # a server that refuses early need not read the body; its answer says why
            refused = error
        self._wire.limit = patience
        try:
            self._last = self._answer(method)
        except (Broken, OSError) as error:
            raise (refused or error) from error
        finally:
            self._wire.limit = self._stall
        if refused is not None:
            self._last.lasting = False
        return self._last

    def _answer(self, method: str) -> Response:
        for _ in range(_INTERIM_LIMIT):
            version, status, headers = parse_head(self._wire.until(b"\r\n\r\n", HEAD_LIMIT))
            if status >= 200 or status == 101:
                break
        else:
            raise Broken("interim answers without end")
        body = self._body(method, status, headers)
        lasting = version == b"1.1" and "close" not in headers.get("connection", "").lower()
        return Response(status, headers, body, lasting and not isinstance(body, ToTheEnd))

    def _body(self, method: str, status: int, headers: dict[str, str]) -> Body:
        if method == "HEAD" or status in (204, 304):
            return Nothing()
        coding = headers.get("transfer-encoding", "").lower()
        if coding == "chunked":
            return Chunked(self._wire)
        if coding not in ("", "identity"):
            raise Broken(f"transfer encoding {coding[:40]!r}")
        length = content_length(headers)
        return ToTheEnd(self._wire) if length is None else Sized(self._wire, length)


def compose(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request.

    Raises:
        ValueError: a header holds a line break or what is not Latin-1.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a header with a line break in it")
    return f"{text}\r\n\r\n".encode("latin-1")


def parse_head(head: bytes) -> tuple[bytes, int, dict[str, str]]:
    """Version, status and headers of an answer.

    Raises:
        Broken: it is none.
    """
    line, _, rest = head.partition(b"\r\n")
    version, _, words = line.partition(b" ")
    status = words[:3]
    if version[:5] != b"HTTP/" or len(status) != 3 or not status.isdigit() or words[3:4] not in (b" ", b""):
        raise Broken(f"no HTTP: {line[:60]!r}")
    headers: dict[str, str] = {}
    for each in rest.decode("latin-1").split("\r\n") if rest else ():
        name, colon, value = each.partition(":")
        if not colon or not name or name[-1] in " \t" or name[0] in " \t":
            raise Broken(f"no header: {each[:60]!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version[5:], int(status), headers


def content_length(headers: dict[str, str]) -> int | None:
    """The announced length of the body, None where none is.

    Raises:
        Broken: it is no number, or two that differ.
    """
    text = headers.get("content-length")
    if text is None:
        return None
    told = {each.strip() for each in text.split(",")}
    one = told.pop()
    if told or not one.isascii() or not one.isdigit() or len(one) > 18:
        raise Broken(f"content length {text[:40]!r}")
    return int(one)
