"""What is heard of pods → Events of the pods, and marks in the queue for devices and workloads.

Changes that a person acts on are marked at once, mere numbers once in a while. Devices and workloads tell of
themselves when their status is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from contract.conditions import Condition, Said, Truth
from controller import status
from controller.events import NORMAL, WARNING, Recorder
from controller.queueing import WorkQueue
from controller.resources import DEVICE_STATUS, EDGE_DEVICES, EDGE_WORKLOADS, WORKLOAD_STATUS, Json, Key
from controller.sightings import Pod, Report, Sighting, Sightings, read_pod

FIRST_SYNC: Final = "FirstSyncDone"
_YOUNG: Final = 3600.0  # seconds within which a pod's first sync is news; a restart must not tell it of a whole fleet
_SOON: Final = 1.0  # seconds in which several pods' news become one write


class Teller:
    """See the module; a :class:`controller.polling.Listener`."""

    def __init__(
        self, queue: WorkQueue, sightings: Sightings, events: Recorder, now: Callable[[], float] = time.time
    ) -> None:
        self._queue, self._sightings, self._events, self._now = queue, sightings, events, now

    def pod_event(self, raw: Json) -> tuple[Key, ...]:
        """A watch told of a pod: take note at once, and mark whom it concerns."""
        pod = read_pod(raw)
        if pod is None:
            return ()
        before = self._sightings.see(pod)
        if before != pod:
            self.seen(before, pod)
        if raw.get("gone"):
            self._sightings.lose(pod.uid)
            self.seen(pod, None)
        return ()

    def seen(self, before: Pod | None, now: Pod | None) -> None:
        """A pod came, changed or went."""
        for pod in {one for one in (before, now) if one is not None}:
            self._mark(pod, _SOON)
            if before is None or now is None or before.mappings != now.mappings:
                self._queue.add(Key(EDGE_WORKLOADS.kind, pod.namespace, pod.workload))

    def heard(self, sighting: Sighting, before: Report | None, report: Report | None) -> None:
        """A pod said something, or did not answer."""
        if report is None:
            self._mark(sighting.pod, _SOON if before is None else self._pace())
            return
        if before != report or sighting.fault:
            steady = before is not None and not sighting.fault and _steady(before) == _steady(report)
            self._mark(sighting.pod, self._pace() if steady else _SOON)
            if not steady and sighting.pod.device:  # whether its keys are complete, for one
                self._queue.add_after(Key(EDGE_DEVICES.kind, sighting.pod.namespace, sighting.pod.device), _SOON)
        for said in report.said:
            self._tell(sighting.pod, before.about(said.condition) if before else None, said)

    def _tell(self, pod: Pod, before: Said | None, said: Said) -> None:
        kind = said.event_type
        if kind is None or (before is not None and (before.truth, before.because) == (said.truth, said.because)):
            return
        if kind == WARNING:
            self._events.tell(pod.reference, WARNING, said.because.value, said.message)
        elif said.condition is Condition.SYNCED and self._is_first(pod, before):
            self._events.tell(pod.reference, NORMAL, FIRST_SYNC, "everything is synced for the first time")

    def _is_first(self, pod: Pod, before: Said | None) -> bool:
        if before is not None and before.truth is not Truth.UNKNOWN:
            return False
        try:
            age = self._now() - datetime.fromisoformat(pod.created).timestamp()
        except ValueError:
            return False
        return age < _YOUNG

    def _mark(self, pod: Pod, seconds: float) -> None:
        if pod.workload:
            self._queue.add_after(Key(WORKLOAD_STATUS, pod.namespace, pod.workload), seconds)
        if pod.device:
            self._queue.add_after(Key(DEVICE_STATUS, pod.namespace, pod.device), seconds)

    def _pace(self) -> float:
        return status.pace(len(self._sightings.all()))


def _steady(report: Report) -> tuple[object, ...]:
    said = tuple((one.condition, one.truth, one.because) for one in report.said)
    return said, report.last_error, report.standby, report.pending_files is None, report.last_upload is None
