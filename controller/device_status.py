"""``status.workloads`` of an EdgeDevice: sightings, and what stood there before → what to write. Pure.

A device that is silent keeps what was known, and is said to be offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller import status
from controller.directories import Directory
from controller.resources import Json
from controller.sightings import Sighting

DEPLOYING: Final = "Deploying"
RUNNING: Final = "Running"
EXITED: Final = "Exited"  # nothing runs, but files may be left there
OFFLINE: Final = status.OFFLINE
_NAMED: Final = 3  # workloads that a column of kubectl has room for


def workloads(
    before: Sequence[Json], sightings: Sequence[Sighting], kept: dict[str, list[Directory]], now: float
) -> list[Json]:
    """``status.workloads`` of a device. ``kept``: by workload, directories that may hold unsent files.

    A workload without pods stays as long as it has such a directory.
    """
    was = {str(one["name"]): one for one in before}
    names = sorted({one.pod.workload for one in sightings} | {name for name, found in kept.items() if found})
    return [
        _workload(
            name, was.get(name, {}), [one for one in sightings if one.pod.workload == name], kept.get(name, []), now
        )
        for name in names
    ]


def names(entries: Sequence[Json]) -> str | None:
    """``status.workloadNames``, since a column of kubectl shows the first of a list only: ``a, b, c +2``."""
    named = ", ".join(str(one["name"]) for one in entries[:_NAMED])
    return (f"{named} +{len(entries) - _NAMED}" if len(entries) > _NAMED else named) or None


def _workload(name: str, was: Json, sightings: Sequence[Sighting], kept: list[Directory], now: float) -> Json:
    phase = phase_of(str(was.get("phase") or ""), sightings, now)
    entry: Json = {"name": name, "phase": phase}
    uploaded = status.latest(was.get("lastDataUpload"), sightings)
    if uploaded is not None:
        entry["lastDataUpload"] = uploaded
    changed = phase != was.get("phase")
    entry["lastTransitionTime"] = status.stamp(now) if changed else was.get("lastTransitionTime") or status.stamp(now)
    if kept:
        entry["directories"] = [one.to_json() for one in kept]
    return entry


def phase_of(before: str, sightings: Sequence[Sighting], now: float) -> str:
    """The best that any pod of the workload on the device is in."""
    phases = [_pod_phase(before, one, now) for one in sightings]
    return next((one for one in (RUNNING, OFFLINE, DEPLOYING) if one in phases), EXITED)


def _pod_phase(before: str, sighting: Sighting, now: float) -> str:
    if sighting.heard is not None and now - sighting.heard < status.OFFLINE_AFTER:
        return RUNNING
    if not sighting.pod.running:
        return DEPLOYING if sighting.heard is None else OFFLINE
    if sighting.pod.silent:
        return RUNNING if sighting.pod.ready else OFFLINE  # all there is: what its kubelet says
    if status.is_offline(sighting, now):
        return OFFLINE
    return before if before in (RUNNING, OFFLINE) else DEPLOYING
