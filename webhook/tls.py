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
from webhook.certificates import KeyPair, not_after
from webhook.settings import TLS_CERT, TLS_KEY

log = logging.getLogger(__name__)

_Signature = tuple[tuple[int, int, int], ...]
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
    """The pair in two files, read again when they change.

    While a renewal is half written (the new certificate with the old key) the last good pair stays in
    use, so that no handshake fails.
    """

    def __init__(self, certificate: str, key: str, loaded: Callable[[datetime], None]) -> None:
        self._certificate = certificate
        self._key = key
        self._loaded = loaded
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._failed: _Signature | None = None
        self._context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Read the files now.

        Raises:
            TlsError: they are missing, no PEM, or do not belong together.
        """
        with self._lock:
            try:
                self._read(self._stat())
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                raise TlsError(
                    f"{TLS_CERT}={self._certificate!r} and {TLS_KEY}={self._key!r} cannot be used: {error}"
                ) from error

    def start(self) -> None:
        """See :class:`Tls`."""

    def check(self) -> Check:
        """See :class:`Tls`."""
        return _READY

    def context(self) -> ssl.SSLContext:
        """See :class:`Tls`."""
        with self._lock:
            try:
                signature = self._stat()
                if signature != self._signature:
                    self._read(signature)
            except (OSError, ValueError) as error:
                self._keep_old(error)
            if self._context is None:
                raise RuntimeError("load() comes first")
            return self._context

    def _stat(self) -> _Signature:
        found = [os.stat(path) for path in (self._certificate, self._key)]
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)

    def _read(self, signature: _Signature) -> None:
        context = _new_context(self._certificate, self._key)
        with open(self._certificate, "rb") as file:
            expires = not_after(file.read())
        if self._stat() != signature:
            # Written while we read: whatever it is, it is newer than the signature says.
            raise ValueError("the files are changing")
        self._context, self._signature, self._failed = context, signature, None
        self._loaded(expires)
        log.info("certificate loaded", **fields(expires=expires.isoformat()))

    def _keep_old(self, error: Exception) -> None:
        try:
            signature: _Signature | None = self._stat()
        except OSError:
            signature = ()
        if signature != self._failed:
            self._failed = signature
            log.warning("certificate not renewed, the old one stays in use", **fields(error=str(error)))


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
            self._context = _new_context(f"/proc/self/fd/{fd}", None)
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


def _new_context(certificate: str, key: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
