"""What a thousand devices cost the API server while every one of them sends a file each minute."""

from __future__ import annotations

from typing import Any

from contract import names
from contract.conditions import Because, Condition, Said, Truth
from controller.queueing import WorkQueue
from controller.reporters import DeviceReporter, WorkloadReporter
from controller.resources import DEVICE_STATUS, WORKLOAD_STATUS
from controller.sightings import Pod, Report, Sighting, Sightings
from controller.status import Structure
from controller.telling import Teller
from controller.workloads import Placement

DEVICES = 1000
MINUTES = 20
SYNCED = (Said(Condition.SYNCED, Truth.TRUE, Because.IN_SYNC, ""),)


class Shelf:
    """As much of a cluster and an Event recorder as reporters need; counts what is written."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes = self.events = 0

    def find(self, _resource: Any, namespace: str, name: str) -> dict[str, Any]:
        metadata = {"namespace": namespace, "name": name, "generation": 1, "resourceVersion": "1"}
        return self.objects.setdefault(name, {"apiVersion": names.API_VERSION, "metadata": metadata})

    def patch(self, _resource: Any, _namespace: str, name: str, patch: Any, subresource: str) -> None:
        assert subresource == "status"
        self.objects[name]["status"] = patch["status"]
        self.writes += 1

    def tell(self, *_: Any) -> None:
        self.events += 1


def test_a_thousand_busy_devices_are_written_about_twice_a_second_at_most() -> None:
    time, shelf, sightings = [1_800_000_000.0], Shelf(), Sightings()

    def now() -> float:
        return time[0]

    queue = WorkQueue(now)
    recorder: Any = shelf
    cluster: Any = shelf
    drainer: Any = None  # nobody asks for a drain
    structure = Structure(Placement(tuple(f"d{number}" for number in range(DEVICES))), runs=True, desired=DEVICES)
    reporters: dict[str, DeviceReporter | WorkloadReporter] = {
        DEVICE_STATUS: DeviceReporter(cluster, sightings, recorder, drainer, now),
        WORKLOAD_STATUS: WorkloadReporter(cluster, sightings, recorder, lambda *_: structure, now),
    }
    teller = Teller(queue, sightings, recorder, now)
    pods = [_pod(number) for number in range(DEVICES)]
    for before, after in sightings.see_all(pods):
        teller.seen(before, after)
    for minute in range(MINUTES):
        for pod in pods:
            report = Report(SYNCED, pending_files=minute, pending_bytes=minute, last_upload=now())
            teller.heard(Sighting(pod), sightings.hear(pod.uid, report, now()), report)
        for _ in range(6):
            time[0] += 10
            _work(queue, reporters)
    everybody_once = 2 * (DEVICES + 1)  # that it runs, and that it syncs
    assert shelf.writes - everybody_once <= 2 * 60 * MINUTES
    assert shelf.writes >= DEVICES  # it is told all the same
    assert shelf.events <= 3 * (DEVICES + 1)


def _pod(number: int) -> Pod:
    device = f"d{number}"
    return Pod("edge", f"p{number}", f"u{number}", device, "w", device, "Workload", "", True, True)


def _work(queue: WorkQueue, reporters: Any) -> None:
    while (key := queue.take(0.0)) is not None:
        again = reporters[key.kind].reconcile(key.namespace, key.name) if key.kind in reporters else None
        queue.done(key)
        if again is not None:
            queue.add_after(key, again)
