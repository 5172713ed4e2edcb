"""Opening a connection to the server: addresses, proxies, TLS, and time limits.

Part of the S3 adapter. Every connection looks its host up anew (``names.py``), so a server that moved is
found by the next one. Proxies come from the usual variables (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``);
they are reached by plain HTTP only. Which connections are kept is ``pool.py``'s.
"""

from __future__ import annotations

import base64
import errno
import os
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from sidecar.loop import readable, writable
from sidecar.remote.http import Connection, compose
from sidecar.remote.names import Names
from sidecar.remote.wire import Broken, UntrustedServer

CONNECT_SECONDS: Final = 5.0  # for each address that a name has
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PROBES: Final = 3  # unanswered probes of an idle connection before it counts as dead


class Address(NamedTuple):
    """A server: ``host`` is a name, an IPv4 address, or an IPv6 address in brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What the ``Host`` header says: the port is left out where the scheme implies it."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def bare_host(self) -> str:
        """The host without brackets."""
        return self.host.strip("[]")


class Proxy(NamedTuple):
    """A proxy, and the header that it wants to see."""

    host: str
    port: int
    authorization: str | None


class Dialer:
    """Opens connections. Thread-safe. ``stall``: seconds after which a connection without a byte is dead."""

    def __init__(self, ca_pem: str | None, stall: float) -> None:
        self._ca_pem = ca_pem
        self._stall = stall
        self._names = Names()
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None  # made with the first connection that wants it
        self._sessions: dict[Address, ssl.SSLSession] = {}
        self._proxies: dict[Address, Proxy | None] = {}

    def proxy(self, address: Address) -> Proxy | None:
        """The proxy through which ``address`` is reached, None where directly.

        Raises:
            Broken: the environment asks for one that cannot be used.
        """
        if address not in self._proxies:  # asked for every request, and reading the environment takes its time
            self._proxies[address] = proxy_for(address)
        return self._proxies[address]

    def dial(self, address: Address) -> Connection:
        """A connection on which requests to ``address`` may be sent.

        Raises:
            UntrustedServer: no TLS with it.
            Broken: a proxy refuses, or makes no sense.
            OSError: it cannot be reached.
        """
        proxy = self.proxy(address)
        host, port = (proxy.host, proxy.port) if proxy else (address.bare_host, address.port)
        sock = _connect(self._names, host, port)
        try:
            _tune(sock, self._stall)
            if address.scheme == "https":
                if proxy:
                    _tunnel(sock, proxy, address, self._stall)
                sock = self._secured(sock, address)
            return Connection(sock, self._stall)
        except BaseException:
            sock.close()
            raise

    def remember(self, address: Address, connection: Connection) -> None:
        """Keep the TLS session of a connection that worked: the next handshake is then a short one."""
        sock = connection.sock
        if connection.session_known or not isinstance(sock, ssl.SSLSocket):
            return
        connection.session_known = True  # once is enough: asking copies the session with all its certificates
        if not sock.session_reused and (session := sock.session) is not None:
            self._sessions[address] = session

    def _secured(self, sock: socket.socket, address: Address) -> ssl.SSLSocket:
        with self._lock:  # two contexts would not take each other's sessions
            if self._context is None:
                self._context = _trusting(self._ca_pem)
        session = self._sessions.get(address)
        try:
            secured = self._context.wrap_socket(
                sock, server_hostname=address.bare_host, session=session, do_handshake_on_connect=False
            )
            try:
                _shake_hands(secured, self._stall)
            except BaseException:
                secured.close()
                raise
            return secured
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise
        except ssl.SSLCertVerificationError as error:
            raise UntrustedServer(error.verify_message) from error
        except ssl.SSLError as error:
            raise UntrustedServer(error.reason or str(error)) from error


def proxy_for(address: Address) -> Proxy | None:
    """The proxy that the environment asks for, None for a direct connection.

    Raises:
        Broken: it is one that cannot be used.
    """
    text = getproxies_environment().get(address.scheme, "")
    if not text or proxy_bypass(f"{address.bare_host}:{address.port}"):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise Broken(f"{address.scheme.upper()}_PROXY is no address of a proxy") from error
    if parts.scheme != "http" or not host:
        raise Broken(f"{address.scheme.upper()}_PROXY must be http://HOST:PORT")
    secret = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        secret = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port, secret)


def _connect(names: Names, host: str, port: int) -> socket.socket:
    """A connected socket that never blocks; the addresses of ``host`` are tried one after the other."""
    failed: OSError | None = None
    for family, kind, protocol, _, address in names.addresses(host, port):
        try:
            return _connect_to(socket.socket(family, kind, protocol), address)
        except OSError as error:
            failed = error
    raise failed or OSError(f"{host!r} has no address")


def _connect_to(sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            writable(sock.fileno(), CONNECT_SECONDS)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except BaseException:
        sock.close()
        raise
    if code:
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock


def _shake_hands(sock: ssl.SSLSocket, seconds: float) -> None:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            readable(sock.fileno(), seconds)
        except ssl.SSLWantWriteError:
            writable(sock.fileno(), seconds)


def _tune(sock: socket.socket, stall: float) -> None:
    """Send at once; and have the kernel find out about a peer that is gone, also while we only wait."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probe = max(1, int(stall / (_PROBES + 1)))
    options = {"TCP_USER_TIMEOUT": int(stall * 1000), "TCP_KEEPIDLE": probe, "TCP_KEEPINTVL": probe}
    for name, value in (options | {"TCP_KEEPCNT": _PROBES}).items():
        with suppress(AttributeError, OSError):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _tunnel(sock: socket.socket, proxy: Proxy, address: Address, stall: float) -> None:
    place = f"{address.host}:{address.port}"
    headers = [("Host", place)]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    # A proxy says nothing after its answer before we do, so nothing read ahead is lost here.
    answer = Connection(sock, stall).request("HEAD", compose("CONNECT", place, headers), b"", stall)
    if answer.status != 200:
        raise Broken(f"the proxy {proxy.host}:{proxy.port} answers {answer.status} to CONNECT")


def _trusting(ca_pem: str | None) -> ssl.SSLContext:
    """The usual authorities, and the storage's own beside them."""
    context = ssl.create_default_context()
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context
