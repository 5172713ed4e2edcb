"""TLS for a listener, from PEM files that are read again when they change.

While a renewal is half written the last good pair stays in use, so that no handshake fails. It
makes no certificates and watches nothing: each handshake looks at the files.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from typing import Final

from runtime.logs import fields

log = logging.getLogger(__name__)

_MINIMUM: Final = ssl.TLSVersion.TLSv1_2
_Signature = tuple[tuple[int, int, int], ...]


class TlsFiles:
    """A server's context from ``certificate`` and ``key``. Thread-safe."""

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key)
        self._lock = threading.Lock()
        self._signature: _Signature | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake.

        Raises:
            OSError, ValueError: there is no pair that could be used, and never was one.
        """
        with self._lock:
            try:
                self._refresh()
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                if self._context is None:
                    raise
                log.warning("certificate not renewed, the old one stays in use", **fields(error=str(error)))
            assert self._context is not None  # set by _refresh, or raised
            return self._context

    def _refresh(self) -> None:
        found = [os.stat(path) for path in self._files]
        signature = tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
        if signature == self._signature:
            return
        self._signature = signature  # one line in the log for one broken pair
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _MINIMUM
        context.load_cert_chain(*self._files)
        self._context = context
