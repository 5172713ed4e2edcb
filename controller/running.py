"""The long-lived controller: watcher, leadership, workers and endpoints, started and ended in order."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.handlers import Watch, Watcher
from controller.leadership import Leadership
from controller.metrics import Metrics
from controller.polling import Poller
from controller.queueing import WorkQueue
from controller.reconcile import Loop, Reconciler
from controller.settings import Settings
from runtime.endpoints import Check, Endpoints
from runtime.logs import fields
from runtime.shutdown import Shutdown

log = logging.getLogger(__name__)

_NAMESPACE_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_STOP: Final = 5.0  # seconds for each part to end
_RETRY: Final = 5.0  # seconds after a failed look at everything


class Controller:
    """See the module. ``reconcilers`` by kind; ``watches`` say what marks their objects."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        metrics: Metrics,
        reconcilers: Mapping[str, Reconciler],
        watches: Iterable[Watch],
        queue: WorkQueue | None = None,
    ) -> None:
        self._settings = settings
        self.queue = queue or WorkQueue()
        self._resync = threading.Event()
        self._shutdown = Shutdown(grace=3 * _STOP)
        self.leadership = Leadership(
            cluster,
            settings.lease_namespace or own_namespace(),
            settings.lease_name,
            settings.identity or f"{socket.gethostname()}-{secrets.token_hex(3)}",
            on_start=self._resync.set,
        )
        self.poller: Poller | None = None  # started and ended with the rest
        self._watcher = Watcher(cluster.configuration, self.queue, watches)
        self._loop = Loop(self.queue, reconcilers, metrics, lambda: self.leadership.leading)
        self.endpoints = Endpoints(
            settings.metrics_listen, livez=self.livez, readyz=self.readyz, registry=metrics.registry
        )

    def run(self, shutdown: Shutdown) -> None:
        """Work until ``shutdown`` asks to stop.

        Raises:
            OSError: the metrics address cannot be bound.
        """
        self._shutdown = shutdown
        log.info("started", **fields(port=self.endpoints.start()))
        self._watcher.start()
        self._loop.start(self._settings.workers)
        self.leadership.start()
        resync = threading.Thread(target=self._keep_looking, name="resync", daemon=True)
        resync.start()
        if self.poller is not None:
            self.poller.start()
        while not shutdown.wait(60.0):
            pass
        self._resync.set()
        self._stop(lambda: self._loop.stop(_STOP), self.leadership.stop, lambda: self._watcher.stop(_STOP))
        if self.poller is not None:
            self.poller.stop(_STOP)
        self.endpoints.stop()
        log.info("stopped")

    def livez(self) -> Check:
        """Whether every part still runs."""
        if not self._watcher.alive:
            return Check(False, "the watcher has ended")
        if not self._loop.alive:
            return Check(False, "a worker has ended")
        if self.poller is not None and not self.poller.alive:
            return Check(False, "the poller has ended")
        return Check(True, "working")

    def readyz(self) -> Check:
        """Whether the API server has answered once; a replica that waits to lead is ready too."""
        if not self.leadership.attempted:
            return Check(False, "the API server has not answered yet")
        return Check(True, "leading" if self.leadership.leading else "ready to lead")

    def _keep_looking(self) -> None:
        """Look at everything when leading begins, and again every resync interval."""
        wait = self._settings.resync_interval
        while not self._shutdown.requested:
            self._resync.wait(wait)
            self._resync.clear()
            wait = self._settings.resync_interval
            if self._shutdown.requested or not self.leadership.leading:
                continue
            try:
                self._loop.look_at_everything()
            except ClusterError as error:
                log.warning("not everything could be looked at", **fields(error=str(error)))
                wait = _RETRY

    def _stop(self, *parts: Callable[[], None]) -> None:
        for part in parts:
            part()


def own_namespace() -> str:
    """The namespace of this pod's service account; ``default`` outside a pod."""
    try:
        with open(_NAMESPACE_FILE, encoding="utf-8") as file:
            return file.read().strip() or "default"
    except OSError:
        return "default"
