"""The only kopf file: kopf watches, and marks in the work queue what was heard of. No decisions here.

Handlers are ``on.event`` alone, so that kopf writes nothing: no annotation, no finalizer, no Event, no
peering; which replica acts is ``leadership``'s. What a watch misses, the look at everything finds.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import kopf
from kubernetes.client import Configuration

from controller.queueing import WorkQueue
from controller.resources import Json, Key, Resource

log = logging.getLogger(__name__)

_RESTART_DELAYS: Final = (1.0, 2.0, 5.0, 15.0, 30.0)  # seconds; the last one over and over
_CLOSING: Final = 0.2  # seconds that kopf's HTTP client needs to close TLS connections, and does not wait for
_QUIET: Final = 90.0  # seconds without a sign of life after which a watch is begun anew


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch, and which keys an object that was heard of concerns; ``gone`` in it: its end."""

    resource: Resource
    concerns: Callable[[Json], Iterable[Key]]
    labels: str = ""  # selector, evaluated by the API server


class Watcher:
    """kopf in a thread of its own, started again should it ever end."""

    def __init__(self, configuration: Configuration, queue: WorkQueue, watches: Iterable[Watch]) -> None:
        self._configuration = configuration
        self._queue = queue
        self._watches = tuple(watches)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Watch until :meth:`stop`."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End the watches, waiting up to ``seconds`` for that."""
        self._stop.set()
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        delays = itertools.chain(_RESTART_DELAYS, itertools.repeat(_RESTART_DELAYS[-1]))
        while not self._stop.is_set():
            try:
                asyncio.run(self._operate())
            except Exception:  # whatever ended it, watching goes on
                log.exception("watching ended")
            self._stop.wait(next(delays))

    async def _operate(self) -> None:
        # kopf would ask for the user's name, which an arbitrary UID in a container does not have.
        identity: Any = "data-sync-controller"
        await kopf.operator(
            identity=identity,
            registry=self._registry(),
            settings=self._settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=self._stop,
        )
        await asyncio.sleep(_CLOSING)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for watch in self._watches:
            one = watch.resource
            kopf.on.event(one.group, one.version, one.plural, registry=registry)(_marker(watch, self._queue))
        return registry

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.networking.error_backoffs = _Forever()
        settings.networking.request_timeout = 30
        settings.watching.inactivity_timeout = _QUIET
        settings.watching.chunk_size = 500
        settings.queueing.idle_timeout = 1.0  # a task for each object is kept no longer than that
        for watch in self._watches:
            if watch.labels:
                one = watch.resource
                settings.watching.label_selectors[one.group, one.version, one.plural] = watch.labels
        return settings

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        found = self._configuration
        scheme, _space, token = (found.get_api_key_with_prefix("BearerToken", alias="authorization") or "").rpartition(
            " "
        )
        return kopf.ConnectionInfo(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            insecure=not found.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
        )


class _Forever:
    """Delays between tries, in seconds, without an end: the API server comes back, sooner or later."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0), itertools.repeat(5.0))


def _marker(watch: Watch, queue: WorkQueue) -> Callable[..., Any]:
    async def mark(event: Any, **_: Any) -> None:
        one = dict(event["object"])
        one.setdefault("apiVersion", watch.resource.api_version)  # lists of built-in kinds leave them out
        one.setdefault("kind", watch.resource.kind)
        one["gone"] = event["type"] == "DELETED"
        for key in watch.concerns(one):
            queue.add(key)

    mark.__name__ = f"mark_{watch.resource.plural}"  # which kopf names handlers by
    return mark


# One line for each event that was heard of is too much; what fails is told at a higher level.
logging.getLogger("kopf").setLevel(logging.WARNING)
# It warns that signals are not its own to handle, which is as it should be: they are runtime.shutdown's.
logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
