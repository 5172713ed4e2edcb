"""Mappings: which directory goes where in the bucket, and the other way round.

A mapping is the item of EdgeWorkload ``spec.data.egress`` and ``spec.data.ingress``, of the
annotations of those names and of ``DATA_SYNC_EGRESS`` and ``DATA_SYNC_INGRESS``: one shape,
one parser. Reading YAML or JSON is the caller's; this module takes plain lists and dicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contract.names import OWN_DIR

# Only these expand in the bucket's side of a mapping; the sidecar fills them in, never kubelet.
VARIABLES: Final = ("POD_NAME", "POD_NAMESPACE", "NODE_NAME", "DEVICE_ID")
_REFERENCE = re.compile(r"\$\(([^()]*)\)")

COMPONENT_LIMIT: Final = 255  # bytes in one name on every Linux file system we run on
KEY_LIMIT: Final = 1024  # bytes in one S3 object key
_SHOWN: Final = 120  # characters of a bad value that a message repeats


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
    restore: bool = True  # ingress: fetch a file again that the workload deleted
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
        for key, option in _OPTIONS.items():
            value = getattr(self, option.attribute)
            if value != option.default:
                item[key] = value
        return item


@dataclass(frozen=True, slots=True)
class _Option:
    attribute: str
    default: bool
    directions: frozenset[Direction]


_OPTIONS: Final = {
    "restore": _Option("restore", True, frozenset({Direction.INGRESS})),
    "allowOverlap": _Option("allow_overlap", False, frozenset(Direction)),
}


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
            if mapping in found:
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

    prefix = _REFERENCE.sub(value, mapping.prefix)
    if not faults:
        fault = _path_fault(prefix, device=False)
        if fault is not None:
            faults.append(f"{mapping.prefix!r} expands to {prefix!r}, but {fault}")
    if faults:
        raise MappingError(faults)
    egress = mapping.direction is Direction.EGRESS
    return Mapping(
        direction=mapping.direction,
        source=mapping.source if egress else prefix,
        target=prefix if egress else mapping.target,
        restore=mapping.restore,
        allow_overlap=mapping.allow_overlap,
    )


def contains(outer: str, inner: str) -> bool:
    """Whether directory ``outer`` is ``inner`` or holds it; ``.`` holds everything."""
    return outer in (".", inner) or inner.startswith(outer + "/")


def _parse_one(direction: Direction, item: object, where: str, faults: list[str]) -> Mapping | None:
    if not isinstance(item, dict):
        faults.append(f"{where}: {{source, target}} is needed, not {_shape(item)}")
        return None
    before = len(faults)
    paths: dict[str, str] = {}
    for key in ("source", "target"):
        paths[key] = _parse_path(item, key, where, (key == "source") == (direction is Direction.EGRESS), faults)
    options: dict[str, bool] = {}
    for key, value in item.items():
        if key in paths:
            continue
        option = _OPTIONS.get(key) if isinstance(key, str) else None
        if option is None:
            known = ", ".join(["source", "target", *_OPTIONS])
            faults.append(f"{where}: unknown key {_shown(key)} (known: {known})")
        elif direction not in option.directions:
            faults.append(f"{where}: {key!r} has no meaning for {direction}")
        elif not isinstance(value, bool):
            faults.append(f"{where}: {key!r} is true or false, not {_shown(value)}")
        else:
            options[option.attribute] = value
    if len(faults) > before:
        return None
    return Mapping(direction, paths["source"], paths["target"], **options)


def _parse_path(item: Dict[object, object], key: str, where: str, device: bool, faults: list[str]) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        faults.append(f"{where}: {key!r} " + ("is missing" if value is None else f"is text, not {_shown(value)}"))
        return ""
    # `stats/` is what people type for a directory; nothing is lost by taking it as `stats`.
    path = value.removesuffix("/") if len(value) > 1 else value
    fault = _path_fault(path, device=device)
    if fault is not None:
        faults.append(f"{where}: {key} {value!r}: {fault}")
    return path


def _path_fault(path: str, *, device: bool) -> str | None:
    """What is wrong with ``path``, as the end of a sentence, or None."""
    if device and path == ".":
        return None
    if not path:
        return "it is empty"
    if path.startswith("/"):
        return "it is absolute; write it relative, without the leading '/'"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "it is no valid UTF-8"
    if size >= KEY_LIMIT:
        return f"it is longer than {KEY_LIMIT - 1} bytes"
    faults = filter(None, map(_component_fault, path.split("/")))
    return next(faults, None) or (_device_fault(path) if device else _reference_fault(path))


def _component_fault(component: str) -> str | None:
    if component in ("", ".", ".."):
        return f"it has the component {component!r}"
    if "\0" in component:
        return "it holds a NUL character"
    if len(component.encode()) > COMPONENT_LIMIT:
        return f"the component {component[:40]!r}… is longer than {COMPONENT_LIMIT} bytes"
    return None


def _device_fault(path: str) -> str | None:
    if _REFERENCE.search(path):
        return "$(NAME) expands only on the bucket's side"
    if path.split("/", 1)[0] == OWN_DIR:
        return f"{OWN_DIR} is data-sync's own directory"
    return None


def _reference_fault(path: str) -> str | None:
    unknown = [name for name in _REFERENCE.findall(path) if name not in VARIABLES]
    if unknown:
        return f"$({unknown[0]}) is unknown (known: {', '.join(VARIABLES)})"
    return None


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
    return names.get(type(value)) or _shown(value)


def _shown(value: object) -> str:
    """``value`` for a message, whatever it is: YAML and JSON have numbers and depths that repr refuses."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"such a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
