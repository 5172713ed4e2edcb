"""gunicorn around the app: TLS whose contexts come from elsewhere, one worker with threads, an orderly end.

One worker, because threads share the metrics and the catalog; the work is a few milliseconds of
pure Python. Knows nothing of admission.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from runtime.endpoints import Check, Endpoints
from runtime.logs import fields
from webhook.metrics import Metrics
from webhook.settings import METRICS_LISTEN, Settings
from webhook.tls import Tls
from webhook.worker import Worker

log = logging.getLogger(__name__)

_DRAIN: Final = 20  # seconds that requests under way get after SIGTERM
_KEEP_ALIVE: Final = 75  # seconds; the API server keeps its connections open
_HEARTBEAT_DIR: Final = "/dev/shm"  # noqa: S108 - gunicorn's own advice: a heartbeat must not wait on a disk


class Companion(Protocol):
    """What runs beside the server, in its process, and keeps it from being ready until it is."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def check(self) -> Check:
        """Whether requests can be answered, and if not, what is awaited."""
        ...


def serve(
    app: WSGIApplication, settings: Settings, metrics: Metrics, tls: Tls, companions: Sequence[Companion] = ()
) -> None:
    """Serve until SIGTERM or SIGINT; does not return (gunicorn ends the process)."""
    _Application(app, settings, metrics, tls, companions).run()


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(
        self, app: WSGIApplication, settings: Settings, metrics: Metrics, tls: Tls, companions: Sequence[Companion]
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._tls = tls
        self._companions = (tls, *companions)
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._configuration().items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        return self._app

    def _configuration(self) -> dict[str, Any]:
        return {
            "bind": [self._settings.listen],
            "worker_class": Worker,
            "workers": 1,
            "threads": self._settings.threads,
            "keepalive": _KEEP_ALIVE,
            "graceful_timeout": _DRAIN,
            "certfile": os.devnull,  # that there is TLS; contexts come from the line below
            "ssl_context": lambda _config, _default: self._tls.context(),
            "logger_class": _Logger,
            "loglevel": self._settings.log_level,
            "proc_name": "data-sync-webhook",
            "control_socket_disable": True,  # nobody but signals controls this process
            "post_worker_init": lambda _worker: self._start(),
            **({"worker_tmp_dir": _HEARTBEAT_DIR} if os.access(_HEARTBEAT_DIR, os.W_OK) else {}),
        }

    def _start(self) -> None:
        # In the worker: threads do not survive the fork, and the counters are the worker's.
        for companion in self._companions:
            companion.start()
        self._start_endpoints()

    def _ready(self) -> Check:
        checks = (companion.check() for companion in self._companions)
        return next((check for check in checks if not check.ok), Check(True, "ready"))

    def _start_endpoints(self) -> None:
        endpoints = Endpoints(
            self._settings.metrics_listen,
            livez=lambda: Check(True, "alive"),
            readyz=self._ready,
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
