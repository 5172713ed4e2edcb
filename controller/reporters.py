"""Writing the statuses that come of sightings: of EdgeDevices their workloads, of EdgeWorkloads everything.

All I/O of these statuses. What a person acts on is written at once, mere numbers at a pace that a thousand
devices can afford; what is unchanged is not written. Each write is conditional on what was read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from contract.conditions import Condition as Says
from controller import conditions, device_status, directories, status
from controller.cluster import Cluster
from controller.conditions import Condition
from controller.draining import Drainer
from controller.errors import NotFound
from controller.events import NORMAL, WARNING, Recorder
from controller.requests import Requests
from controller.resources import DEVICE_STATUS, EDGE_DEVICES, EDGE_WORKLOADS, WORKLOAD_STATUS, Json, Key, Resource
from controller.sightings import Sighting, Sightings
from controller.status import Structure

FIRST_UPLOAD: Final = "FirstUpload"
_WAIT_FOR_PODS: Final = 2.0  # seconds until the first list of pods is looked for again


class _Reporter:
    """What both have in common: reading, comparing, pacing, writing, telling."""

    resource: Resource

    def __init__(
        self, cluster: Cluster, sightings: Sightings, events: Recorder, now: Callable[[], float] = time.time
    ) -> None:
        self._cluster, self._sightings, self._events, self._now = cluster, sightings, events, now
        self._written: dict[tuple[str, str], float] = {}

    def _write(self, found: Json, after: Json, wanted: Sequence[Condition]) -> float | None:
        """Write the status if it is worth it; seconds until it may be, or None."""
        before, metadata, now = found.get("status") or {}, found["metadata"], self._now()
        said = _without_passing(before.get("conditions") or [], wanted)
        stamp = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        generation = metadata.get("generation") or 0
        after = {**after, "conditions": conditions.merged(said, stamp, generation, wanted)}
        if all(before.get(key) == value for key, value in after.items()):
            return None
        key = (metadata["namespace"], metadata["name"])
        alike = status.acts_alike({name: before.get(name) for name in after}, after)
        pace = status.pace(len(self._sightings.all()))
        waited = now - self._written.get(key, float("-inf"))
        if alike and waited < pace:
            return pace - waited
        self._tell(found, before, after, wanted)
        patch: dict[str, Any] = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": after}
        with suppress(NotFound):
            self._cluster.patch(self.resource, *key, patch, subresource="status")
        self._written[key] = now
        return None

    def _tell(self, found: Json, before: Json, after: Json, wanted: Sequence[Condition]) -> None:
        """Before the write: a kill in between tells it again, which counts the Event up, and none is lost."""
        for one in conditions.changed(before.get("conditions") or [], wanted):
            if not one.quiet:
                self._events.tell(found, WARNING if one.warning else NORMAL, one.reason, one.message)
        if self._uploaded(after) and not self._uploaded(before):
            self._events.tell(found, NORMAL, FIRST_UPLOAD, "a file was sent for the first time")

    def _uploaded(self, status: Json) -> bool:
        return bool(status.get("lastDataUpload"))

    def _keys(self, kind: str) -> Iterator[Key]:
        for one in self._cluster.list(self.resource):
            yield Key(kind, one["metadata"]["namespace"], one["metadata"]["name"])


class DeviceReporter(_Reporter):
    """``status.workloads`` of EdgeDevices, and what their sidecars warn of."""

    resource = EDGE_DEVICES

    def __init__(
        self,
        cluster: Cluster,
        sightings: Sightings,
        events: Recorder,
        drainer: Drainer,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(cluster, sightings, events, now)
        self._drainer = drainer
        self._requests = Requests(cluster, EDGE_DEVICES, drainer, events, now)

    def everything(self) -> Iterator[Key]:
        """All devices."""
        return self._keys(DEVICE_STATUS)

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Write what is known; see :class:`controller.reconcile.Reconciler`."""
        if not self._sightings.complete:
            return _WAIT_FOR_PODS
        device = self._cluster.find(EDGE_DEVICES, namespace, name)
        if device is None:
            self._written.pop((namespace, name), None)
            return None
        before = device.get("status") or {}
        seen = self._sightings.of_device(namespace, name)
        kept = self._kept(device, seen)
        workloads = device_status.workloads(before.get("workloads") or (), seen, kept, self._now())
        after: Json = {
            "workloads": workloads or None,
            "lastDataUpload": status.latest(before.get("lastDataUpload"), seen),
        }
        if "workloadNames" in before or workloads != before.get("workloads"):
            after["workloadNames"] = device_status.names(workloads)  # a CRD that does not know it is not asked again
        draining, again = self._requests.follow(device, lambda id_: self._drainer.of_device(device, id_))
        if again == 0.0:
            return again  # it has a new version now
        # Refused is what CredentialsReady tells already.
        warnings = [one for one in status.warnings(seen) if one.type != Says.REFUSED]
        written = self._write(device, after, [*warnings, *([draining] if draining else [])])
        return written if again is None else again

    def _kept(self, device: Json, seen: Sequence[Sighting]) -> dict[str, list[directories.Directory]]:
        """Directories that may hold unsent files: those in use, and those left of which nobody knows better."""
        namespace, name = device["metadata"]["namespace"], device["metadata"]["name"]
        listed = [*directories.of_device(device), *self._sightings.left(namespace, name)]
        found = {(workload, one.key): one for workload, one in listed}
        left = [key for key in found if self._sightings.left_nothing((namespace, name, key[0], *key[1]))]
        for key in left:
            del found[key]
        for one in seen:
            if one.pod.directory is not None:
                found[one.pod.workload, one.pod.directory.key] = one.pod.directory
        kept: dict[str, list[directories.Directory]] = {}
        for (workload, _), directory in sorted(found.items(), key=lambda item: item[0]):
            kept.setdefault(workload, []).append(directory)
        return {workload: listed[: directories.MOST] for workload, listed in kept.items()}


class WorkloadReporter(_Reporter):
    """The status of EdgeWorkloads. ``structure`` tells what the work on one found; None: not looked at yet."""

    resource = EDGE_WORKLOADS

    def __init__(
        self,
        cluster: Cluster,
        sightings: Sightings,
        events: Recorder,
        structure: Callable[[str, str], Structure | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(cluster, sightings, events, now)
        self._structure = structure

    def everything(self) -> Iterator[Key]:
        """All workloads."""
        return self._keys(WORKLOAD_STATUS)

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Write what is known; see :class:`controller.reconcile.Reconciler`."""
        structure = self._structure(namespace, name)
        if structure is None or not self._sightings.complete:
            return _WAIT_FOR_PODS if structure is not None else None  # it is marked again when it was looked at
        workload = self._cluster.find(EDGE_WORKLOADS, namespace, name)
        if workload is None:
            self._written.pop((namespace, name), None)
            return None
        seen = self._sightings.of_workload(namespace, name)
        after, wanted = status.workload_status(workload.get("status") or {}, structure, seen, self._now())
        after["observedGeneration"] = workload["metadata"].get("generation") or 0
        again = self._write(workload, after, wanted)
        starting = any(one.status == "Unknown" for one in wanted)
        return again if again is not None or not starting else status.OFFLINE_AFTER / 5


def _without_passing(before: Sequence[Json], wanted: Sequence[Condition]) -> list[Json]:
    """What was said, but for what is there only while it is true, and is no longer."""
    now = {one.type for one in wanted}
    return conditions.without(before, *(one for one in status.PASSING if one not in now))
