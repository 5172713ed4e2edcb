"""An EdgeWorkload's ``spec.data``, edited → the ``mappings`` annotation of its pods. Pure.

By the code that admission uses. A pod's own annotation for a direction wins over the workload for that
direction, as it did when the pod was admitted; what it said then is in its ``mappings`` already. A set of
mappings that cannot work changes nothing: the pod keeps the last good one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contract import names
from contract.mapping import Direction, Mapping, MappingError, check_overlap, parse_mappings
from contract.spec import annotation_to_json, mappings_from_annotation
from controller.pods import annotations_of, is_injected, is_over, status_of
from controller.resources import Json

Mappings = tuple[Mapping, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """``spec.data``, read. ``faults``: sentences; with one, nothing of it is used."""

    egress: Mappings = ()
    ingress: Mappings = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A pod whose annotation must become ``mappings``, or that keeps what it has because of ``faults``."""

    pod: str
    uid: str
    mappings: str = ""
    faults: tuple[str, ...] = ()

    @property
    def patch(self) -> Json:
        """What is merged into exactly this pod."""
        return {"metadata": {"uid": self.uid, "annotations": {names.MAPPINGS: self.mappings}}}


def read(workload: Json) -> Data:
    """The mappings that the workload supplies."""
    data = (workload.get("spec") or {}).get("data") or {}
    found: dict[Direction, Mappings] = {}
    faults: list[str] = []
    for direction in Direction:
        try:
            found[direction] = parse_mappings(direction, data.get(direction.value))
        except MappingError as error:
            faults += [f"spec.data.{direction}: {fault}" for fault in error.faults]
    if faults:
        return Data(faults=tuple(faults))
    egress, ingress = found[Direction.EGRESS], found[Direction.INGRESS]
    return Data(egress, ingress, tuple(f"spec.data: {fault}" for fault in _overlaps(egress + ingress)))


def belongs(pod: Json, workload: str) -> bool:
    """Whether ``pod``, of the workload's namespace, is injected and has its mappings from it."""
    return is_injected(pod) and not is_over(pod) and status_of(pod).get("workload") == workload


def edits(data: Data, pods: Iterable[Json]) -> list[Edit]:
    """What to change at ``pods``, all of which belong to the workload."""
    if data.faults:
        return []
    found = (_edit(data, pod) for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    return [edit for edit in found if edit is not None]


def _edit(data: Data, pod: Json) -> Edit | None:
    annotations, metadata = annotations_of(pod), pod["metadata"]
    written = annotations.get(names.MAPPINGS, "")
    try:
        egress, ingress = mappings_from_annotation(written)
    except MappingError:  # somebody's edit: what the pod said for itself is not known any more
        if names.EGRESS in annotations or names.INGRESS in annotations:
            return None
        egress, ingress = (), ()
    if names.EGRESS not in annotations:
        egress = data.egress
    if names.INGRESS not in annotations:
        ingress = data.ingress
    faults = _overlaps(egress + ingress)
    if faults:
        said = tuple(f"with the pod's own annotation: {fault}" for fault in faults)
        return Edit(metadata["name"], metadata["uid"], faults=said)
    wanted = annotation_to_json(egress, ingress)
    return None if wanted == written else Edit(metadata["name"], metadata["uid"], wanted)


def _overlaps(mappings: Mappings) -> tuple[str, ...]:
    try:
        check_overlap(mappings)
    except MappingError as error:
        return error.faults
    return ()
