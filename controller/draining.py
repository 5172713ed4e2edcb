"""Carrying drains out: which directories are left alone by now, Jobs for them, and what became of these.

All I/O of drains. Whoever releases something asks again until nothing is waited for, or its time is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from controller import directories, drains
from controller.cluster import Cluster
from controller.drains import Drain, Outcome
from controller.errors import Exists, Unavailable
from controller.resources import EDGE_DEVICES, JOBS, NODES, PODS, Json
from controller.settings import DrainSettings
from controller.sightings import Sightings, place_of, read_pod
from runtime.logs import fields

log = logging.getLogger(__name__)

_AT_ONCE: Final = 10  # Jobs of one request; a fleet is not drained in one breath


@dataclass(slots=True)
class Drained:
    """How a request stands. ``failed``: with why."""

    waiting: list[Drain] = field(default_factory=list)
    failed: list[tuple[Drain, str]] = field(default_factory=list)
    sent: list[Drain] = field(default_factory=list)


class Drainer:
    """See the module."""

    def __init__(self, cluster: Cluster, sightings: Sightings, settings: DrainSettings) -> None:
        self._cluster, self._sightings, self._settings = cluster, sightings, settings

    def of_workload(self, namespace: str, workload: str, request: str) -> list[Drain]:
        """What is left of ``workload``, on every device."""
        devices = self._cluster.list(EDGE_DEVICES, namespace)
        return [one for device in devices for one in self.of_device(device, request) if one.workload == workload]

    def of_device(self, device: Json, request: str) -> list[Drain]:
        """What is left on directories that use the device's storage and have no pod any more."""
        namespace, name = device["metadata"]["namespace"], device["metadata"]["name"]
        self._look(namespace)
        if not self._sightings.complete:
            raise Unavailable("drain", f"{namespace}/{name}", "it is not known yet which pods there are")
        listed = [*directories.of_device(device), *self._sightings.left(namespace, name)]
        kept = {(workload, one.key): one for workload, one in listed}
        used = set()
        for sighting in self._sightings.of_device(namespace, name):
            if sighting.pod.directory is not None:  # not yet in the device's status, it may be
                kept[sighting.pod.workload, sighting.pod.directory.key] = sighting.pod.directory
                used.add(place_of(sighting.pod))
        found = [Drain(request, namespace, name, workload, one) for (workload, _), one in sorted(kept.items())]
        return [one for one in found if one.place not in used and not self._sightings.left_nothing(one.place)]

    def _look(self, namespace: str) -> None:
        """Pods that are gone by now leave their directories, whether or not anybody has told of it."""
        found = (read_pod(raw) for raw in self._cluster.list(PODS, namespace))
        self._sightings.see_only(namespace, [pod for pod in found if pod is not None])

    def carry_out(self, wanted: Iterable[Drain]) -> Drained:
        """Begin what can be begun, and tell how all of it stands."""
        found, running = Drained(), 0
        for one in wanted:
            there = self._cluster.find(JOBS, one.namespace, one.job_name)
            if there is None and running < _AT_ONCE:
                there = self._begin(one, found)
            if there is None:
                if not any(failed is one for failed, _ in found.failed):
                    found.waiting.append(one)
                continue
            match drains.outcome(there):
                case Outcome.SENT:
                    self._sightings.was_drained(one.place, one.directory)
                    found.sent.append(one)
                case Outcome.FAILED:
                    found.failed.append((one, drains.why(there)))
                case Outcome.RUNNING:
                    running += 1
                    found.waiting.append(one)
        return found

    def _begin(self, drain: Drain, found: Drained) -> Json | None:
        if not drain.directory.drainable:
            found.failed.append((drain, "each pod had a directory of its own (export-scope: pod)"))
            return None
        if self._cluster.find(NODES, "", drain.directory.node) is None:
            found.failed.append((drain, f"there is no node {drain.directory.node} any more"))
            return None
        log.info("drain begins", **fields(namespace=drain.namespace, job=drain.job_name, drain=str(drain)))
        wanted = drains.job(drain, self._settings.sidecar_image, self._settings.deadline)
        with suppress(Exists):  # found at the next look
            return self._cluster.create(JOBS, drain.namespace, wanted)
        return None
