"""The loop: take a key, let its reconciler look at the object and act, and again when it says so or failed.

Level-triggered: why a key is in the queue does not matter, only how things are now. No decisions here;
those are in the pure rooms. Works only while ``leading`` says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from controller.errors import ClusterError, Conflict, NotFound, Terminating, Unavailable
from controller.metrics import Metrics
from controller.queueing import WorkQueue
from controller.resources import Key
from runtime.logs import fields

log = logging.getLogger(__name__)

_TURN: Final = 0.5  # seconds after which a waiting worker looks whether it is to stop


class Reconciler(Protocol):
    """What one kind of object needs. Each call begins from what is there, and may be repeated or killed anywhere."""

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Make the object as it should be; return in how many seconds to look again, or None.

        Raises:
            ClusterError: it is tried again, after ever longer times.
        """

    def everything(self) -> Iterable[Key]:
        """All objects of this kind; for a look at everything."""


class Loop:
    """Workers on one queue."""

    def __init__(
        self,
        queue: WorkQueue,
        reconcilers: Mapping[str, Reconciler],
        metrics: Metrics,
        leading: Callable[[], bool] = lambda: True,
    ) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._metrics = metrics
        self._leading = leading
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, workers: int) -> None:
        """Work in ``workers`` threads until :meth:`stop`."""
        for number in range(workers):
            thread = threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> None:
        """Take nothing new, and wait up to ``seconds`` for each worker to end what it does."""
        self._stopping.set()
        self._queue.close()
        for thread in self._threads:
            thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether every worker runs."""
        return all(thread.is_alive() for thread in self._threads)

    def look_at_everything(self) -> None:
        """Mark every object of every kind; a kind that the cluster does not have is left out.

        Raises:
            ClusterError: a list could not be had.
        """
        for reconciler in self._reconcilers.values():
            try:
                for key in reconciler.everything():
                    self._queue.add(key)
            except NotFound:
                log.info("resource is not served", **fields(reconciler=type(reconciler).__name__))

    def step(self, timeout: float = 0.0) -> bool:
        """Work on one key, if there is one within ``timeout`` seconds; whether there was."""
        key = self._queue.take(timeout)
        if key is None:
            return False
        try:
            self._reconcile(key)
        finally:
            self._queue.done(key)
        return True

    def _work(self) -> None:
        while not self._stopping.is_set():
            if self._leading():
                self.step(_TURN)
            else:
                self._stopping.wait(_TURN)

    def _reconcile(self, key: Key) -> None:
        try:
            again = self._reconcilers[key.kind].reconcile(key.namespace, key.name)
        except ClusterError as error:
            self._failed(key, error)
        except Exception:  # one object that cannot be handled must not stop the others
            delay = self._queue.failed(key)
            log.exception("reconciling failed", **_about(key, again=delay))
            self._metrics.reconciled(key.kind, "error")
        else:
            self._queue.succeeded(key)
            self._metrics.reconciled(key.kind, "ok" if again is None else "waiting")
            if again is not None:
                self._queue.add_after(key, again)

    def _failed(self, key: Key, error: ClusterError) -> None:
        delay = self._queue.failed(key)
        expected = isinstance(error, Conflict | Unavailable | Terminating)
        level = logging.INFO if expected else logging.WARNING
        log.log(level, "reconciling failed", **_about(key, again=delay, error=str(error)))
        self._metrics.reconciled(key.kind, "conflict" if isinstance(error, Conflict) else "error")


def _about(key: Key, **values: object) -> dict[str, Any]:
    return fields(kind=key.kind, namespace=key.namespace, name=key.name, **values)
