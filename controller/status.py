"""What an EdgeWorkload's status says: sightings, and what stood there before → status, conditions. Pure.

Nothing is invented: what was not heard yet keeps what was known, and says since when; a pod that cannot be
asked is unknown, not well. Numbers that move all the time are told apart from what a person acts on, so that
the first are written seldom and the second at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from contract.conditions import Because, Said, Truth
from contract.conditions import Condition as Says
from controller.conditions import FALSE, TRUE, UNKNOWN, Condition
from controller.resources import Json
from controller.sightings import Sighting
from controller.workloads import Placement, Refusal

OFFLINE_AFTER: Final = 300.0  # seconds without an answer after which a device is said to be offline
STARTING_FOR: Final = 180.0  # seconds that a new pod may take before its silence means anything

OFFLINE: Final = "Offline"
READY: Final = "Ready"
ACCEPTED: Final = "Accepted"
DEVICES_MATCHED: Final = "DevicesMatched"
MAPPINGS_VALID: Final = "MappingsValid"
SYNCING: Final = "Syncing"
DRAINING: Final = "Draining"  # there only while it is true
# What sidecars warn of; each there only while it is true.
WARNED_OF: Final = (Says.DATA_AT_RISK, Says.REFUSED, Says.INGRESS_LIMITED, Says.NAMES_QUARANTINED)
PASSING: Final = (DRAINING, *(one.value for one in WARNED_OF))

_NAMED: Final = 5  # devices or pods that a message names
_VOLATILE: Final = (
    "pending",
    "lastDataUpload",
    "message",
    "lastTransitionTime",
    "observedGeneration",
    "workloadNames",  # follows from what stands beside it
)


@dataclass(frozen=True, slots=True)
class Structure:
    """What is known of an EdgeWorkload beside what its pods say."""

    placement: Placement = field(default_factory=Placement)
    runs: bool = False
    desired: int | None = None  # pods, as the DaemonSet wants; None: it has none
    refused: Refusal | None = None
    faults: tuple[str, ...] = ()  # of its mappings
    draining: Condition | None = None


def is_offline(sighting: Sighting, now: float) -> bool:
    """Whether nothing was heard of a pod for so long that this means something."""
    if sighting.silent_since is None:
        return False  # nobody has asked in vain
    if sighting.heard is not None:
        return now - sighting.heard >= OFFLINE_AFTER
    return now - sighting.silent_since >= STARTING_FOR


def workload_status(
    before: Json, structure: Structure, sightings: Sequence[Sighting], now: float
) -> tuple[Json, list[Condition]]:
    """An EdgeWorkload's status without its conditions, and these."""
    alive = [one for one in sightings if not one.pod.terminating]
    status: Json = {
        "devices": {"matched": len(structure.placement.devices), "ready": _ready_devices(structure, alive)},
        "pods": {"desired": len(alive) if structure.desired is None else structure.desired, "injected": len(alive)},
        "pending": _pending(before, sightings),
        "lastDataUpload": latest(before.get("lastDataUpload"), sightings),
        "lastError": _error(before, sightings),
    }
    syncing = _syncing(alive, now)
    conditions = [
        _accepted(structure),
        _matched(structure),
        _mappings(structure),
        syncing,
        *warnings(sightings),
        *([structure.draining] if structure.draining else []),
    ]
    return status, [*conditions, _ready(structure, status, syncing)]


def _ready_devices(structure: Structure, alive: Sequence[Sighting]) -> int:
    if not structure.runs:
        return len({one.pod.device for one in alive if one.pod.ready and one.pod.device})
    return len({one.pod.node for one in alive if one.pod.ready} & structure.placement.nodes)


def _pending(before: Json, sightings: Sequence[Sighting]) -> Json:
    """What is not yet sent, as last heard; a directory that two pods share counts once."""
    holders: dict[tuple[str, str, str], Sighting] = {}
    for one in sightings:
        if one.report is None or one.report.pending_files is None:
            continue
        place = (one.pod.node, one.pod.device, one.pod.kind)
        if place not in holders or not one.report.standby:
            holders[place] = one
    if not holders:  # nothing heard yet, or any more; never a false 0
        known = before.get("pending") if sightings else None
        return dict(known or {"files": None, "bytes": None})
    reports = [one.report for one in holders.values() if one.report is not None]
    return {
        "files": sum(one.pending_files or 0 for one in reports),
        "bytes": sum(one.pending_bytes or 0 for one in reports),
    }


def _error(before: Json, sightings: Sequence[Sighting]) -> str | None:
    """What went wrong on any device; kept while it is not known whether it still does."""
    errors = sorted((one.pod.node, one.report.last_error) for one in sightings if one.report and one.report.last_error)
    if errors:
        return f"{errors[0][0]}: {errors[0][1]}"
    silent = any(one.report is None for one in sightings)
    return before.get("lastError") if silent else None


def _accepted(structure: Structure) -> Condition:
    if structure.refused is not None:
        return Condition(ACCEPTED, FALSE, structure.refused.reason, structure.refused.message, warning=True)
    return Condition(ACCEPTED, TRUE, "Accepted", "the spec can be carried out", quiet=True)


def _matched(structure: Structure) -> Condition:
    placement = structure.placement
    if placement.absent:
        message = f"spec.device: there is no EdgeDevice {placement.absent!r} in this namespace"
        return Condition(DEVICES_MATCHED, FALSE, "DeviceNotFound", message, warning=True)
    if not placement.devices:
        if not structure.runs:
            return Condition(DEVICES_MATCHED, TRUE, "NotRun", "it only supplies mappings to pods", quiet=True)
        return Condition(DEVICES_MATCHED, FALSE, "NoDevice", "no EdgeDevice of this namespace matches", quiet=True)
    if structure.runs and placement.without_node:
        message = f"there is no node for {_named('device', placement.without_node)}: a device is the node of its name"
        return Condition(DEVICES_MATCHED, FALSE, "WithoutNode", message, warning=True)
    return Condition(DEVICES_MATCHED, TRUE, "Matched", f"for {_named('device', placement.devices)}", quiet=True)


def _mappings(structure: Structure) -> Condition:
    if structure.faults:
        message = f"{'; '.join(structure.faults)}; pods keep the last good ones"
        return Condition(MAPPINGS_VALID, FALSE, "Invalid", message, warning=True)
    return Condition(MAPPINGS_VALID, TRUE, "Valid", "all pods can have them", quiet=True)


def _syncing(alive: Sequence[Sighting], now: float) -> Condition:
    if not alive:
        return Condition(SYNCING, UNKNOWN, "NoPods", "there is no pod that syncs", quiet=True)
    failing = [one for one in alive if _synced_is(one, Truth.FALSE, but=(Because.TRANSFERRING,))]
    offline = [one for one in alive if is_offline(one, now) and not one.pod.silent]
    starting = [one for one in alive if _is_starting(one) and one not in offline]
    unasked = [one for one in alive if one.pod.silent]
    if failing:
        said = failing[0].report and failing[0].report.about(Says.SYNCED)
        assert said
        message = f"{_named('pod', [one.pod.name for one in failing])}: {said.message}"
        return Condition(SYNCING, FALSE, said.because.value, message)
    if offline:
        message = f"nothing heard from {_named('pod', [one.pod.name for one in offline])}: {offline[0].fault}"
        return Condition(SYNCING, UNKNOWN, OFFLINE, message)
    if starting:
        message = f"{_named('pod', [one.pod.name for one in starting])} just started"
        return Condition(SYNCING, UNKNOWN, "Starting", message, quiet=True)
    if unasked:
        message = f"{_named('pod', [one.pod.name for one in unasked])} cannot be asked: {unasked[0].pod.silent}"
        return Condition(SYNCING, UNKNOWN, "CannotBeAsked", message, quiet=True)
    behind = any(_synced_is(one, Truth.FALSE) for one in alive)
    reason = Because.TRANSFERRING if behind else Because.IN_SYNC
    message = "files are under way" if behind else "both sides hold the same"
    return Condition(SYNCING, TRUE, reason.value, message, quiet=True)


def _is_starting(sighting: Sighting) -> bool:
    if sighting.pod.silent:
        return False
    return sighting.report is None or _synced_is(sighting, Truth.UNKNOWN) or not sighting.report.said


def _synced_is(sighting: Sighting, truth: Truth, but: tuple[Because, ...] = ()) -> bool:
    said = sighting.report.about(Says.SYNCED) if sighting.report else None
    return said is not None and said.truth is truth and said.because not in but


def warnings(sightings: Sequence[Sighting]) -> Iterable[Condition]:
    """What sidecars warn of, each kind once."""
    for condition in WARNED_OF:
        found = [(one.pod.name, said) for one in sightings if (said := warned(one, condition)) is not None]
        if found:
            message = f"{_named('pod', [name for name, _ in found])}: {found[0][1].message}"
            yield Condition(condition.value, TRUE, found[0][1].because.value, message, warning=True)


def warned(sighting: Sighting, condition: Says) -> Said | None:
    """What the pod warns of, in this respect."""
    said = sighting.report.about(condition) if sighting.report else None
    return said if said is not None and said.truth is Truth.TRUE else None


def _ready(structure: Structure, status: Json, syncing: Condition) -> Condition:
    for one in (_accepted(structure), _matched(structure)):
        if one.status != TRUE:
            return Condition(READY, FALSE, one.reason, one.message, quiet=True)
    matched, ready = status["devices"]["matched"], status["devices"]["ready"]
    if structure.runs and ready < matched:
        return Condition(READY, FALSE, "NotEverywhere", f"{ready} of {matched} devices run it", quiet=True)
    return Condition(READY, syncing.status, syncing.reason, syncing.message, quiet=True)


# Whether it is worth a write


def acts_alike(before: object, after: object) -> bool:
    """Whether two statuses differ at most in numbers and times that move all the time."""
    return _steady(before) == _steady(after)


def _steady(value: object) -> object:
    if isinstance(value, dict):
        return {key: _steady(one) for key, one in value.items() if key not in _VOLATILE and one is not None}
    if isinstance(value, list):
        return [_steady(one) for one in value]
    return value


def pace(objects: int) -> float:
    """Seconds between two writes of mere numbers to one of so many objects: at most two writes a second in all."""
    return max(30.0, objects / 2)


def latest(before: object, sightings: Sequence[Sighting]) -> str | None:
    """The newest upload, to the second; what was known before counts, since a sidecar forgets at its end."""
    known = [time_of(str(before))] if before else []
    known += [one.report.last_upload for one in sightings if one.report and one.report.last_upload]
    return stamp(max(known)) if known else None


def stamp(seconds: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(stamp: str) -> float:
    """The time that a stamp says; 0 where it says none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def _named(what: str, names: Sequence[str]) -> str:
    listed = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {listed}{more}"
