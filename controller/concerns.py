"""What a watch tells of → which workloads and devices it concerns. Remembers only enough to tell news from noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contract import names
from controller.pods import annotations_of
from controller.resources import (
    DEVICE_STATUS,
    EDGE_DEVICES,
    EDGE_WORKLOADS,
    Json,
    Key,
    key_of,
)
from controller.workloads import node_label

Keys = tuple[Key, ...]


class Concerns:
    """``workloads``: those that are known, by namespace and name, with the devices that each is meant for."""

    def __init__(self, workloads: Callable[[], Mapping[tuple[str, str], frozenset[str]]]) -> None:
        self._workloads = workloads
        self._devices: dict[tuple[str, str], Any] = {}
        self._nodes: dict[str, Any] = {}

    def device(self, one: Json) -> Keys:
        """The device itself; and its namespace's workloads where it came, went, or has other labels."""
        key = key_of(one)
        marked = [key]
        if annotations_of(one).get(names.DRAIN):
            marked.append(Key(DEVICE_STATUS, key.namespace, key.name))
        metadata = one["metadata"]
        gone = one.get("gone") or bool(metadata.get("deletionTimestamp"))
        if _is_news(self._devices, (key.namespace, key.name), None if gone else metadata.get("labels") or {}):
            marked += (Key(EDGE_WORKLOADS.kind, *name) for name in self._workloads() if name[0] == key.namespace)
        return tuple(marked)

    def node(self, one: Json) -> Keys:
        """The workloads that are meant for the device of that name, where the node came, went, or lost a label."""
        name = one["metadata"]["name"]
        meant = {key for key, devices in self._workloads().items() if name in devices}
        labels = one["metadata"].get("labels") or {}
        carried = None if one.get("gone") else {node_label(*key): labels.get(node_label(*key)) for key in meant}
        if not _is_news(self._nodes, name, carried):
            return ()
        return tuple(Key(EDGE_WORKLOADS.kind, *key) for key in sorted(meant))

    def owner(self, one: Json) -> Keys:
        """The workload whose DaemonSet this is, or whose directory this Job drains; and that one's device."""
        metadata = one["metadata"]
        namespace, said = metadata.get("namespace", ""), annotations_of(one)
        owners = metadata.get("ownerReferences") or ()
        marked = [Key(EDGE_WORKLOADS.kind, namespace, one["name"]) for one in owners if one["kind"] == _WORKLOAD]
        if names.WORKLOAD in said:
            marked.append(Key(EDGE_WORKLOADS.kind, namespace, said[names.WORKLOAD]))
        if names.DEVICE in said:
            device = said[names.DEVICE]
            marked += (Key(EDGE_DEVICES.kind, namespace, device), Key(DEVICE_STATUS, namespace, device))
        return tuple(marked)


_WORKLOAD = EDGE_WORKLOADS.kind


def _is_news(known: dict[Any, Any], key: Any, now: Any) -> bool:
    """Whether ``now`` is not what was known; None is what is gone, and forgotten."""
    before = known.get(key)
    if now is None:
        known.pop(key, None)
    else:
        known[key] = now
    return bool(before != now)
