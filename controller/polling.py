"""Keeping sightings up to date: all pods listed once in a while, each asked for its ``/status`` gently.

Bounded in requests a second, in requests at once, and in what one answer may cost; a pod that does not answer
is asked ever more seldom. Works only while ``leading`` says so: two replicas need not ask the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from contract.conditions import Condition, Truth
from controller.asking import Ask, NoAnswer
from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.resources import PODS
from controller.sightings import Pod, Report, Sighting, Sightings, read_pod, read_report
from runtime.logs import fields

log = logging.getLogger(__name__)

RATE: Final = 50.0  # requests a second
EVERY: Final = 60.0  # seconds between two requests to one pod
_STARTING: Final = 10.0  # … to one that has just started
_SILENT: Final = 240.0  # … to one that does not answer
_HOPEFUL: Final = 5  # tries in vain after which a pod is asked that seldom
_AT_ONCE: Final = 16
_LIST_EVERY: Final = 5.0  # seconds between two lists of all pods; more where a list takes long
_LIST_SHARE: Final = 0.02  # of all time that may be spent listing
_TURN: Final = 1.0


class Listener(Protocol):
    """Who wants to know."""

    def seen(self, before: Pod | None, now: Pod | None) -> None:
        """A pod came, changed or went."""

    def heard(self, sighting: Sighting, before: Report | None, report: Report | None) -> None:
        """A pod said something, or did not answer (None)."""


class Poller:
    """See the module."""

    def __init__(
        self,
        cluster: Cluster,
        sightings: Sightings,
        ask: Ask,
        listener: Listener,
        leading: Callable[[], bool] = lambda: True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._sightings, self._ask, self._listener = cluster, sightings, ask, listener
        self._leading = leading
        self._now = now
        self._clock = time.monotonic
        self._listed = float("-inf")
        self._list_every = _LIST_EVERY
        self._stopping = threading.Event()
        self._under_way: set[str] = set()
        self._places = threading.Semaphore(_AT_ONCE)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Work in the background until :meth:`stop`."""
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, waiting up to ``seconds`` for requests that are under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def look(self) -> None:
        """List all pods, and tell of what changed.

        Raises:
            ClusterError: the list could not be had; what was known stays known.
        """
        began, known_before = self._clock(), self._sightings.uids()
        found = [pod for raw in self._cluster.list(PODS) if (pod := read_pod(raw)) is not None]
        for before, now in self._sightings.see_all(found, known_before):
            self._listener.seen(before, now)
        self._listed = self._clock()
        self._list_every = max(_LIST_EVERY, (self._listed - began) / _LIST_SHARE)

    def due(self) -> list[Sighting]:
        """Whom to ask now, those first that were asked longest ago."""
        now, known = self._now(), self._sightings.all()
        every = max(EVERY, len(known) / RATE)
        waiting = [one for one in known if one.pod.address and now - (one.asked or 0) >= _interval(one, every)]
        return sorted(waiting, key=lambda one: one.asked or 0)

    def ask(self, sighting: Sighting) -> None:
        """Ask one pod, remember what it said, and tell of it."""
        pod = sighting.pod
        try:
            report = read_report(self._ask(pod.address))
        except NoAnswer as error:
            self._sightings.miss(pod.uid, str(error), self._now())
            self._listener.heard(sighting, sighting.report, None)
            return
        before = self._sightings.hear(pod.uid, report, self._now())
        self._listener.heard(sighting, before, report)

    def _run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="asker") as pool:
            while not self._stopping.wait(_TURN):
                if not self._leading():
                    continue
                try:
                    self._turn(pool)
                except ClusterError as error:
                    log.info("pods cannot be listed", **fields(error=str(error)))
                    self._listed = self._clock()
                except Exception:  # nothing here may end it
                    log.exception("polling failed")

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        if self._clock() - self._listed >= self._list_every:
            self.look()
        for sighting in self.due():
            if sighting.pod.uid in self._under_way:
                continue
            while not self._places.acquire(timeout=_TURN):
                if self._stopping.is_set():
                    return
            self._under_way.add(sighting.pod.uid)
            pool.submit(self._asked, sighting)
            if self._stopping.wait(1 / RATE):
                return

    def _asked(self, sighting: Sighting) -> None:
        try:
            self.ask(sighting)
        except Exception:  # one pod's strange answer
            log.exception("asking failed", **fields(namespace=sighting.pod.namespace, pod=sighting.pod.name))
        finally:
            self._under_way.discard(sighting.pod.uid)
            self._places.release()


def _interval(sighting: Sighting, every: float) -> float:
    if sighting.asked is None:
        return 0.0
    if sighting.fault and sighting.tries > _HOPEFUL:
        return max(_SILENT, every)
    said = sighting.report.about(Condition.SYNCED) if sighting.report else None
    starting = said is None or said.truth is Truth.UNKNOWN
    return min(every, _STARTING) if starting and every <= EVERY else every
