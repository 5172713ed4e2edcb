"""The TLS context of the next handshake: from files that change, or from the webhook's own rotation.

gunicorn asks for a context at every handshake, so a new certificate needs no restart and breaks no
connection. Who makes the certificates is not known here.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from runtime.endpoints import Check
from runtime.logs import fields
from runtime.tls import TlsFiles, server_context
from webhook.certificates import KeyPair, not_after
from webhook.settings import TLS_CERT, TLS_KEY

log = logging.getLogger(__name__)

_READY = Check(True, "ready")


class TlsError(Exception):
    """Certificate and key cannot be served; the message names the variables."""


class Tls(Protocol):
    """Where contexts come from."""

    def start(self) -> None:
        """Called once in the process that serves."""
        ...

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake.

        Raises:
            ssl.SSLError: there is nothing to serve yet; the client tries again.
        """
        ...

    def check(self) -> Check:
        """Whether a client can verify what is served."""
        ...


class FileTls:
    """The pair in two files, which :class:`~runtime.tls.TlsFiles` reads again when they change."""

    def __init__(self, certificate: str, key: str, loaded: Callable[[datetime], None]) -> None:
        self._names = f"{TLS_CERT}={certificate!r} and {TLS_KEY}={key!r}"
        self._files = TlsFiles(certificate, key, self._expires)
        self._tell = loaded
        self._usable = False

    def load(self) -> None:
        """Read the files now.

        Raises:
            TlsError: they are missing, no PEM, or do not belong together.
        """
        try:
            self._files.context()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise TlsError(f"{self._names} cannot be used: {error}") from error
        self._usable = True

    def start(self) -> None:
        """See :class:`Tls`."""

    def check(self) -> Check:
        """See :class:`Tls`."""
        return _READY

    def context(self) -> ssl.SSLContext:
        """See :class:`Tls`."""
        if not self._usable:
            raise RuntimeError("load() comes first")
        return self._files.context()

    def _expires(self, certificate: bytes) -> None:
        expires = not_after(certificate)
        self._tell(expires)
        log.info("certificate loaded", **fields(expires=expires.isoformat()))


class MemoryTls:
    """The pair that was installed last; it never lies on a disk."""

    def __init__(self, installed: Callable[[datetime], None]) -> None:
        self._installed = installed
        self._context: ssl.SSLContext | None = None
        self.run: Callable[[threading.Event], None] = lambda _stopping: None  # what installs
        self.ready: Callable[[], Check] = lambda: _READY

    def install(self, pair: KeyPair) -> None:
        """Serve ``pair`` from the next handshake on."""
        fd = os.memfd_create("certificate")  # ssl reads from files only
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(pair.certificate_pem + pair.key_pem)
            self._context = server_context(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        self._installed(not_after(pair.certificate_pem))

    def start(self) -> None:
        """See :class:`Tls`."""
        threading.Thread(target=self.run, args=(threading.Event(),), name="rotation", daemon=True).start()

    def check(self) -> Check:
        """See :class:`Tls`."""
        return self.ready()

    def context(self) -> ssl.SSLContext:
        """See :class:`Tls`."""
        if self._context is None:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "no certificate yet")
        return self._context
