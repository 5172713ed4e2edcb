"""gunicorn around the app: TLS that follows its files, one worker with threads, an orderly end.

One worker, because threads share the metrics and the catalog; the work is a few milliseconds of
pure Python. Knows nothing of admission.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from runtime.endpoints import Check, Endpoints
from runtime.logs import fields
from webhook.certificates import not_after
from webhook.metrics import Metrics
from webhook.settings import METRICS_LISTEN, TLS_CERT, TLS_KEY, Settings

log = logging.getLogger(__name__)

_DRAIN: Final = 20  # seconds that requests under way get after SIGTERM
_KEEP_ALIVE: Final = 75  # seconds; the API server keeps its connections open
_HEARTBEAT_DIR: Final = "/dev/shm"  # noqa: S108 - gunicorn's own advice: a heartbeat must not wait on a disk

_Signature = tuple[tuple[int, int, int], ...]


class TlsError(Exception):
    """Certificate and key cannot be served; the message names the variables."""


class Tls:
    """The server's TLS context, renewed when the files change.

    gunicorn asks for a context at every handshake. While a renewal is half written (the new
    certificate with the old key) the last good pair stays in use, so that no handshake fails.
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

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake."""
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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
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


def serve(app: WSGIApplication, settings: Settings, metrics: Metrics) -> None:
    """Serve until SIGTERM or SIGINT; does not return (gunicorn ends the process).

    Raises:
        TlsError: there is nothing to serve TLS with.
    """
    tls = Tls(settings.tls_cert, settings.tls_key, metrics.certificate)
    tls.load()
    _Application(app, settings, metrics, tls).run()


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, app: WSGIApplication, settings: Settings, metrics: Metrics, tls: Tls) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._tls = tls
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._configuration().items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        return self._app

    def _configuration(self) -> dict[str, Any]:
        return {
            "bind": [self._settings.listen],
            "worker_class": "gthread",
            "workers": 1,
            "threads": self._settings.threads,
            "keepalive": _KEEP_ALIVE,
            "graceful_timeout": _DRAIN,
            "certfile": self._settings.tls_cert,
            "keyfile": self._settings.tls_key,
            "ssl_context": lambda _config, _default: self._tls.context(),
            "logger_class": _Logger,
            "loglevel": self._settings.log_level,
            "proc_name": "data-sync-webhook",
            "control_socket_disable": True,  # nobody but signals controls this process
            "post_worker_init": lambda _worker: self._start_endpoints(),
            **({"worker_tmp_dir": _HEARTBEAT_DIR} if os.access(_HEARTBEAT_DIR, os.W_OK) else {}),
        }

    def _start_endpoints(self) -> None:
        # In the worker: threads do not survive the fork, and the counters are the worker's.
        ready = Check(True, "ready")
        endpoints = Endpoints(
            self._settings.metrics_listen,
            livez=lambda: Check(True, "alive"),
            readyz=lambda: ready,
            registry=self._metrics.registry,
        )
        try:
            endpoints.start()
        except OSError as error:
            log.error(
                "cannot listen",
                **fields(variable=METRICS_LISTEN, address=self._settings.metrics_listen, error=str(error)),
            )
            sys.exit(Arbiter.WORKER_BOOT_ERROR)  # ends the master too, instead of trying for ever


class _Logger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's messages among ours, as JSON lines; requests are logged by the app."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
