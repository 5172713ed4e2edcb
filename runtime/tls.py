"""TLS for a listener, from PEM files that are read again when they change.

While a renewal is half written (the new certificate with the old key) the last good pair stays in use, so
that no handshake fails. It makes no certificates and watches nothing: each handshake looks at the files.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable
from typing import Final

from runtime.logs import fields

log = logging.getLogger(__name__)

_MINIMUM: Final = ssl.TLSVersion.TLSv1_2
_Signature = tuple[tuple[int, int, int], ...]


def server_context(certificate: str, key: str | None = None) -> ssl.SSLContext:
    """A server's context from PEM files; without ``key``, the certificate's file holds it too.

    Raises:
        OSError, ValueError: they are missing, no PEM, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM
    context.load_cert_chain(certificate, key)
    return context


class TlsFiles:
    """A server's context from ``certificate`` and ``key``. Thread-safe.

    ``loaded`` is told each certificate (PEM) that is about to be used, and refuses it by a ValueError.
    """

    def __init__(self, certificate: str, key: str, loaded: Callable[[bytes], None] = lambda _certificate: None) -> None:
        self._certificate = certificate
        self._key = key
        self._loaded = loaded
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._failed: _Signature | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake.

        Raises:
            OSError, ValueError: there is no pair that could be used, and never was one.
        """
        with self._lock:
            try:
                signature = self._stat()
                if signature != self._signature:
                    self._read(signature)
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                if self._context is None:
                    raise
                self._keep_old(error)
            assert self._context is not None  # set by _read, or raised
            return self._context

    def _stat(self) -> _Signature:
        found = [os.stat(path) for path in (self._certificate, self._key)]
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)

    def _read(self, signature: _Signature) -> None:
        context = server_context(self._certificate, self._key)
        with open(self._certificate, "rb") as file:
            certificate = file.read()
        if self._stat() != signature:
            # Written while we read: whatever it is, it is newer than the signature says.
            raise ValueError("the files are changing")
        self._loaded(certificate)
        self._context, self._signature, self._failed = context, signature, None

    def _keep_old(self, error: Exception) -> None:
        try:
            signature: _Signature | None = self._stat()
        except OSError:
            signature = ()
        if signature != self._failed:  # one line in the log for one broken pair
            self._failed = signature
            log.warning("certificate not renewed, the old one stays in use", **fields(error=str(error)))
