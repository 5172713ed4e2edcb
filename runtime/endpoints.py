"""The HTTP listener of a process: ``/livez``, ``/readyz``, ``/metrics``, ``/status`` and a page at ``/``.

``/livez`` failing means *restart me*; ``/readyz`` failing means *not yet*. Read-only, small, and
never in the way: each request has its own daemon thread, a time limit, and a bounded count.
Who is answered is decided in ``runtime/access.py``.
"""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from runtime.access import Access, Places
from runtime.logs import fields, redact
from runtime.tls import TlsFiles

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT: Final = 10.0  # seconds a client may take to say what it wants
_CONCURRENT_REQUESTS: Final = 16
_REQUESTS_OF_ONE: Final = 8  # of one foreign address, so that it cannot keep kubelet's probes out
_TEXT: Final = "text/plain; charset=utf-8"
_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of a probe: whether all is well, and one sentence why (not)."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """The document at ``/``: UTF-8 HTML, and the Content-Security-Policy that it works under."""

    body: bytes
    policy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for a GET."""

    code: HTTPStatus
    content_type: str
    body: bytes
    policy: str = _NOTHING


Probe = Callable[[], Check]
# Called with whether the client may see file names; returns what json.dumps takes.
Status = Callable[[bool], dict[str, Any]]


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``:port`` or ``[v6]:port``; an empty host is every address.

    Raises:
        ValueError: ``text`` is no such address.
    """
    host, colon, port = text.rpartition(":")
    if not colon or re.fullmatch("[0-9]{1,5}", port) is None or int(port) > 65535:
        raise ValueError(f"{text!r} is no listen address; write for example 0.0.0.0:9346")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 - the contract's default


class Endpoints:
    """The listener; :meth:`start` binds at once, so that a taken port is an error at start."""

    def __init__(
        self,
        listen: str,
        *,
        livez: Probe,
        readyz: Probe,
        registry: CollectorRegistry,
        status: Status | None = None,
        page: Page | None = None,
        access: Access | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self._listen = listen
        self._probes = {"/livez": livez, "/readyz": readyz}
        self._registry = registry
        self._status = status
        self._page = page
        self._access = access or Access()
        self._tls = tls
        self._server: _Server | None = None

    def start(self) -> int:
        """Listen in the background and return the port bound (of use when 0 was asked for).

        Raises:
            OSError: the address cannot be bound, or its certificate cannot be used.
        """
        if self._tls is not None:
            self._tls.context()
        self._server = _Server(parse_listen(self._listen), self, self._tls)
        threading.Thread(target=self._server.serve_forever, name="endpoints", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening; requests under way are not waited for."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(
        self, path: str, accept: str = "", client: str = "127.0.0.1", host: str = "", authorization: str = ""
    ) -> Answer:
        """The answer for a GET of ``path``; the rest is what the request says of itself."""
        verdict = self._access.judge(path, client, host, authorization)
        if verdict.refusal is not None:
            code, why = verdict.refusal
            return Answer(code, _TEXT, f"{why}\n".encode())
        if path in self._probes:
            check = self._probes[path]()
            code = HTTPStatus.OK if check.ok else HTTPStatus.SERVICE_UNAVAILABLE
            return Answer(code, _TEXT, redact(check.reason + "\n").encode())
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return Answer(HTTPStatus.OK, content_type, encode(self._registry))
        if path == "/status" and self._status is not None:
            text = json.dumps(self._status(verdict.names), indent=2, default=str) + "\n"
            return Answer(HTTPStatus.OK, "application/json", redact(text).encode())
        if path == "/" and self._page is not None:
            return Answer(HTTPStatus.OK, "text/html; charset=utf-8", self._page.body, self._page.policy)
        known = [*self._probes, "/metrics", *(["/status"] if self._status else []), *(["/"] if self._page else [])]
        return Answer(HTTPStatus.NOT_FOUND, _TEXT, f"here are {', '.join(known)}\n".encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64  # connections not yet accepted; of a burst beyond it clients would wait a second

    def __init__(self, address: tuple[str, int], endpoints: Endpoints, tls: TlsFiles | None) -> None:
        self.endpoints = endpoints
        self._tls = tls
        self._places = Places(_CONCURRENT_REQUESTS, _REQUESTS_OF_ONE)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask for this host's full name, and wait for a DNS server that may not be there.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.take(client_address[0]):
            self.shutdown_request(request)  # full: better to refuse one client than to grow
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started now; the base class closes the connection
            self._places.give_back(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.give_back(client_address[0])

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a client that is slow to shake hands holds up nobody else.
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_REQUEST_TIMEOUT)  # of the handshake as a whole
        with self._tls.context().wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        # Called while the exception is being handled: a client that went away is not worth a traceback.
        log.debug("request failed", **fields(client=str(client_address), error=repr(sys.exception())))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _REQUEST_TIMEOUT

    def setup(self) -> None:
        super().setup()
        self._patience = _Patience(self.connection)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._patience)

    def handle_one_request(self) -> None:
        self._patience.start(self.timeout)
        super().handle_one_request()

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def _respond(self, *, with_body: bool) -> None:
        path, said = self.path.partition("?")[0], self.headers
        try:
            answer = self.server.endpoints.answer(
                path,
                said.get("Accept", ""),
                self.client_address[0],
                said.get("Host", ""),
                said.get("Authorization", ""),
            )
        except Exception:  # a fault in a probe must not look like a refused connection
            log.exception("endpoint failed", **fields(path=path))
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"internal error, see the log\n")
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Content-Security-Policy", answer.policy)
        if answer.code is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "data-sync"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.debug("request", **fields(client=self.client_address[0], line=format % args))


class _Patience(io.RawIOBase):
    """Reads a request within one time limit; a socket's own begins anew with every byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0

    def start(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        whole = self._connection.gettimeout()
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(whole)  # which is what an answer has
