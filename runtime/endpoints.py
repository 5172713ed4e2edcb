"""The plain HTTP listener of a process: ``/livez``, ``/readyz``, ``/metrics`` and ``/status``.

``/livez`` failing means *restart me*; ``/readyz`` failing means *not yet*. Read-only, small, and
never in the way: each request has its own daemon thread, a time limit, and a bounded count.
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
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from runtime.logs import fields, redact

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT: Final = 10.0  # seconds a client may take to say what it wants
_CONCURRENT_REQUESTS: Final = 16


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of a probe: whether all is well, and one sentence why (not)."""

    ok: bool
    reason: str


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
        self, listen: str, *, livez: Probe, readyz: Probe, registry: CollectorRegistry, status: Status | None = None
    ) -> None:
        self._listen = parse_listen(listen)
        self._probes = {"/livez": livez, "/readyz": readyz}
        self._registry = registry
        self._status = status
        self._server: _Server | None = None

    def start(self) -> int:
        """Listen in the background and return the port bound (of use when 0 was asked for).

        Raises:
            OSError: the address cannot be bound.
        """
        self._server = _Server(self._listen, self)
        threading.Thread(target=self._server.serve_forever, name="endpoints", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening; requests under way are not waited for."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, accept: str, client: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body for a GET of ``path``."""
        if path in self._probes:
            check = self._probes[path]()
            code = HTTPStatus.OK if check.ok else HTTPStatus.SERVICE_UNAVAILABLE
            return code, "text/plain; charset=utf-8", redact(check.reason + "\n").encode()
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        if path == "/status" and self._status is not None:
            text = json.dumps(self._status(_is_loopback(client)), indent=2, default=str) + "\n"
            return HTTPStatus.OK, "application/json", redact(text).encode()
        known = [*self._probes, "/metrics", *(["/status"] if self._status else [])]
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"here are {', '.join(known)}\n".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64  # connections not yet accepted; of a burst beyond it clients would wait a second

    def __init__(self, address: tuple[str, int], endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self._slots = threading.BoundedSemaphore(_CONCURRENT_REQUESTS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask for this host's full name, and wait for a DNS server that may not be there.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)  # full: better to refuse one client than to grow
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started now; the base class closes the connection
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

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
        path = self.path.partition("?")[0]
        accept = self.headers.get("Accept", "")
        try:
            code, content_type, body = self.server.endpoints.answer(path, accept, self.client_address[0])
        except Exception:  # a fault in a probe must not look like a refused connection
            log.exception("endpoint failed", **fields(path=path))
            code, content_type, body = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"internal error, see the log\n"
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

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


def _is_loopback(client: str) -> bool:
    address = ip_address(client)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # what an IPv4 client is to a listener on [::]
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
