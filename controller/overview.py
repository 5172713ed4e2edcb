"""What people want to know at a glance: devices and workloads as rows, and rows as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from controller.resources import Json

NOTHING: Final = "-"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")

DEVICE_COLUMNS: Final = ("NAMESPACE", "DEVICE", "READY", "STORAGE", "WORKLOADS", "LAST UPLOAD", "SAYS")
WORKLOAD_COLUMNS: Final = ("NAMESPACE", "WORKLOAD", "DEVICES", "PODS", "PENDING", "LAST UPLOAD", "SAYS")


def summary(devices: Iterable[Json], workloads: Iterable[Json]) -> Json:
    """Everything at a glance, for programs: names, conditions, counts and times as the statuses have them."""
    return {"devices": [_device(one) for one in devices], "workloads": [_workload(one) for one in workloads]}


def tables(found: Json, now: datetime) -> str:
    """:func:`summary` for people: a table of devices, and one of workloads."""
    devices = [_device_row(one, now) for one in found["devices"]]
    workloads = [_workload_row(one, now) for one in found["workloads"]]
    parts = []
    if devices:
        parts.append(table(DEVICE_COLUMNS, devices))
    if workloads:
        parts.append(table(WORKLOAD_COLUMNS, workloads))
    return "\n".join(parts) or "No EdgeDevices and no EdgeWorkloads found.\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, as kubectl prints them."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    padded = ("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def age(text: str | None, now: datetime) -> str:
    """How long ago a time of the API was: ``12s``, ``3m``, ``5h``, ``2d``."""
    if not text:
        return NOTHING
    try:
        seconds = int((now - datetime.fromisoformat(text)).total_seconds())
    except ValueError:
        return NOTHING
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def amount(count: float | None) -> str:
    """Bytes for people: ``512 B``, ``1.5 MiB``."""
    if count is None:
        return NOTHING
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def conditions_of(one: Json) -> dict[str, Json]:
    """Conditions of an object by their type."""
    found = (one.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in found if isinstance(condition, dict) and "type" in condition}


def _device(one: Json) -> Json:
    status, conditions = one.get("status") or {}, conditions_of(one)
    return {
        **_names(one),
        "ready": conditions.get("Ready", {}).get("status", "Unknown"),
        "storage": status.get("storage"),
        "workloads": status.get("workloads") or [],
        "lastDataUpload": status.get("lastDataUpload") or _latest(status.get("workloads")),
        "conditions": list(conditions.values()),
    }


def _workload(one: Json) -> Json:
    status = one.get("status") or {}
    return {
        **_names(one),
        **{key: status.get(key) for key in ("devices", "pods", "pending", "lastDataUpload", "lastError")},
        "conditions": list(conditions_of(one).values()),
    }


def _names(one: Json) -> Json:
    metadata = one["metadata"]
    return {"namespace": metadata.get("namespace", ""), "name": metadata["name"]}


def _latest(workloads: Any) -> str | None:
    times = [one.get("lastDataUpload") for one in workloads or () if isinstance(one, dict)]
    return max((time for time in times if time), default=None)


def _device_row(one: Json, now: datetime) -> tuple[str, ...]:
    names = ", ".join(f"{each.get('name')} {each.get('phase') or ''}".strip() for each in one["workloads"])
    storage, uploaded = one["storage"] or NOTHING, age(one["lastDataUpload"], now)
    return (one["namespace"], one["name"], one["ready"], storage, names or NOTHING, uploaded, _says(one))


def _workload_row(one: Json, now: datetime) -> tuple[str, ...]:
    devices, pods, pending = (one[key] or {} for key in ("devices", "pods", "pending"))
    waiting = NOTHING
    if pending:
        waiting = f"{pending.get('files', 0)} ({amount(pending.get('bytes'))})"
    return (
        one["namespace"],
        one["name"],
        _share(devices.get("ready"), devices.get("matched")),
        _share(pods.get("injected"), pods.get("desired")),
        waiting,
        age(one["lastDataUpload"], now),
        one["lastError"] or _says(one),
    )


def _share(part: int | None, whole: int | None) -> str:
    return NOTHING if whole is None else f"{part or 0}/{whole}"


def _says(one: Json) -> str:
    """The one condition that somebody should read; a dash when all is well."""
    for condition in one["conditions"]:
        wrong = "True" if condition["type"] in ("Conflict", "ReclaimPolicyDiffers") else "False"
        if condition.get("status") == wrong and condition["type"] in ("Ready", "Conflict"):
            return str(condition.get("message") or condition.get("reason") or NOTHING)
    return NOTHING
