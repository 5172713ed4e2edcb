"""Mappings: which directory goes where in the bucket, and the other way round.

A mapping is the item of EdgeWorkload ``spec.data.egress`` and ``spec.data.ingress``, of the
annotations of those names and of ``DATA_SYNC_EGRESS`` and ``DATA_SYNC_INGRESS``: one shape,
one parser. Reading YAML or JSON is the caller's; this module takes plain lists and dicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from contract.options import AUTO, KMS, NONE, OPTIONS, shown, suggestion
from contract.paths import REFERENCE, contains, path_fault


class Direction(StrEnum):
    """Which way files go, seen from the device."""

    EGRESS = "egress"
    INGRESS = "ingress"


class MappingError(ValueError):
    """One or more mappings that cannot work; ``faults`` has a sentence for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Mapping:
    """One directory on the device tied to one prefix in the bucket.

    ``source`` and ``target`` are relative, components joined by ``/``, as the user wrote them
    (``$(NAME)`` unexpanded); only the device side may be ``.``, the whole exported directory.
    """

    direction: Direction
    source: str
    target: str
    include: tuple[str, ...] = ()  # patterns; empty: everything
    exclude: tuple[str, ...] = ()
    delete: bool = False  # mirror removals, under the conditions of promise 4
    delete_limit: int | None = None  # files in one cycle; None: the rule of thumb of ``sidecar/mirror.py``
    restore: bool = True  # ingress: fetch a file again that the workload deleted
    mode: str = NONE
    storage_class: str = ""
    encryption: str = ""
    kms_key_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    content_type: str = AUTO
    settle: float = 0.0  # seconds that a file must have been quiet for
    allow_overlap: bool = False

    @property
    def directory(self) -> str:
        """The device side: a path below the exported directory, or ``.``."""
        return self.source if self.direction is Direction.EGRESS else self.target

    @property
    def prefix(self) -> str:
        """The bucket side, without a trailing slash."""
        return self.target if self.direction is Direction.EGRESS else self.source

    def to_json(self) -> dict[str, object]:
        """The mapping as a user would write it; options at their default are left out."""
        item: dict[str, object] = {"source": self.source, "target": self.target}
        for key, option in OPTIONS.items():
            value = getattr(self, option.attribute)
            if value != option.default:
                item[key] = option.write(value)
        return item

    def same_place(self, other: Mapping) -> bool:
        """Whether both tie the same directory to the same prefix, whatever their options."""
        return (self.direction, self.source, self.target) == (other.direction, other.source, other.target)


def parse_mappings(direction: Direction, items: object) -> tuple[Mapping, ...]:
    """The mappings in ``items``, a list of ``{source, target, …}`` as read from JSON or YAML.

    ``None`` is the empty list. Overlap across lists is :func:`check_overlap`'s.

    Raises:
        MappingError: with one sentence for every fault found, not only the first.
    """
    if items is None:
        return ()
    if not isinstance(items, list):
        raise MappingError([f"a list of {{source, target}} is needed, not {_shape(items)}"])
    faults: list[str] = []
    found: list[Mapping] = []
    for number, item in enumerate(items, start=1):
        mapping = _parse_one(direction, item, f"item {number}", faults)
        if mapping is not None:
            if any(mapping.same_place(other) for other in found):
                faults.append(f"item {number}: {_pair(mapping)} is there twice")
            found.append(mapping)
    if faults:
        raise MappingError(faults)
    return tuple(found)


def check_overlap(mappings: Iterable[Mapping]) -> None:
    """Refuse mappings that would feed on each other, unless both say ``allowOverlap: true``.

    Two mappings overlap when one's device directory contains the other's across directions
    (a download would be uploaded again), or when two egress mappings share a target prefix
    (two files would fight for one key).

    Raises:
        MappingError: naming each overlapping pair.
    """
    faults = []
    listed = list(mappings)
    for place, one in enumerate(listed):
        for other in listed[place + 1 :]:
            if one.allow_overlap and other.allow_overlap:
                continue
            fault = _overlap(one, other)
            if fault is not None:
                faults.append(fault)
    if faults:
        raise MappingError(faults)


def expand(mapping: Mapping, variables: Dict[str, str]) -> Mapping:
    """``mapping`` with every ``$(NAME)`` on the bucket's side replaced from ``variables``.

    Raises:
        MappingError: a variable is not set, or its value does not fit into a key.
    """
    faults: list[str] = []

    def value(match: re.Match[str]) -> str:
        filled = variables.get(match[1], "")
        if not filled:
            faults.append(f"{mapping.prefix!r}: $({match[1]}) has no value here")
        elif "/" in filled or filled in {".", ".."}:
            faults.append(f"{mapping.prefix!r}: $({match[1]}) is {filled!r}, which is no single name")
        return filled

    prefix = REFERENCE.sub(value, mapping.prefix)
    if not faults:
        fault = path_fault(prefix, device=False)
        if fault is not None:
            faults.append(f"{mapping.prefix!r} expands to {prefix!r}, but {fault}")
    if faults:
        raise MappingError(faults)
    egress = mapping.direction is Direction.EGRESS
    return replace(mapping, target=prefix) if egress else replace(mapping, source=prefix)


def _parse_one(direction: Direction, item: object, where: str, faults: list[str]) -> Mapping | None:
    if not isinstance(item, dict):
        faults.append(f"{where}: {{source, target}} is needed, not {_shape(item)}")
        return None
    before = len(faults)
    paths: dict[str, str] = {}
    for key in ("source", "target"):
        paths[key] = _parse_path(item, key, where, (key == "source") == (direction is Direction.EGRESS), faults)
    options = _parse_options(direction, item, where, faults)
    if len(faults) > before:
        return None
    return Mapping(direction, paths["source"], paths["target"], **options)


def _parse_options(direction: Direction, item: Dict[object, object], where: str, faults: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    known = ("source", "target", *(key for key, option in OPTIONS.items() if direction in option.directions))
    listed = f" (known: {', '.join(known)})"
    for key, value in item.items():
        if key in ("source", "target"):
            continue
        option = OPTIONS.get(key) if isinstance(key, str) else None
        if option is None:
            faults.append(f"{where}: unknown key {shown(key)}{suggestion(key, known) or listed}")
        elif direction not in option.directions:
            faults.append(f"{where}: {key!r} has no meaning for {direction}; it belongs to {option.directions[0]}")
        else:
            try:
                options[option.attribute] = option.read(value)
            except ValueError as error:
                faults.append(f"{where}: {key!r} {error}")
    faults += [f"{where}: {fault}" for fault in _together(options)]
    return options


def _together(options: Dict[str, Any]) -> list[str]:
    """What options forbid each other."""
    faults = []
    if options.get("kms_key_id") and options.get("encryption") != KMS:
        faults.append(f"'kmsKeyId' needs 'encryption: {KMS}' beside it")
    if options.get("delete") and options.get("allow_overlap"):
        faults.append("'delete' and 'allowOverlap' together: one mapping would delete what the other one keeps")
    if options.get("delete_limit") and not options.get("delete"):
        faults.append("'deleteLimit' needs 'delete: true' beside it")
    return faults


def _parse_path(item: Dict[object, object], key: str, where: str, device: bool, faults: list[str]) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        faults.append(f"{where}: {key!r} " + ("is missing" if value is None else f"is text, not {shown(value)}"))
        return ""
    # `stats/` is what people type for a directory; nothing is lost by taking it as `stats`.
    path = value.removesuffix("/") if len(value) > 1 else value
    fault = path_fault(path, device=device)
    if fault is not None:
        faults.append(f"{where}: {key} {value!r}: {fault}")
    return path


def _overlap(one: Mapping, other: Mapping) -> str | None:
    if one.direction is not other.direction:
        if contains(one.directory, other.directory) or contains(other.directory, one.directory):
            return (
                f"{_pair(one)} and {_pair(other)} overlap: "
                f"{one.directory!r} and {other.directory!r} hold the same files"
            )
    elif one.direction is Direction.EGRESS and (
        contains(one.prefix, other.prefix) or contains(other.prefix, one.prefix)
    ):
        return f"{_pair(one)} and {_pair(other)} overlap: both write below {min(one.prefix, other.prefix)!r}"
    return None


def _pair(mapping: Mapping) -> str:
    return f"{mapping.direction} {mapping.source!r} → {mapping.target!r}"


def _shape(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
    return names.get(type(value)) or shown(value)
