"""Label and field selectors as the API server reads them from a query."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fakes.cluster.failures import bad_request
from tests.fakes.cluster.resources import Json, ResourceType

Matches = Callable[[Json], bool]

_SET = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)")
_EQUAL = re.compile(r"([^=!\s]+)\s*(==|=|!=)\s*(\S*)")
_SPLIT = re.compile(r",(?![^(]*\))")
# Custom resources know only the first two.
_FIELDS = {
    "pods": ("spec.nodeName", "status.phase", "spec.restartPolicy", "spec.serviceAccountName", "status.podIP"),
    "events": (
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.namespace",
        "reason",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
}


def selector(kind: ResourceType, labels: str, fields: str) -> Matches:
    """Whether an object is among those asked for."""
    wanted = [*_labels(labels), *_fields(kind, fields)]
    return lambda found: all(one(found) for one in wanted)


def _labels(text: str) -> list[Matches]:
    return [_label(part.strip()) for part in _SPLIT.split(text) if part.strip()]


def _label(part: str) -> Matches:
    if found := _SET.fullmatch(part):
        key, operator, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        if operator == "in":
            return lambda one: _labels_of(one).get(key) in values
        return lambda one: _labels_of(one).get(key) not in values
    if found := _EQUAL.fullmatch(part):
        key, operator, value = found[1], found[2], found[3]
        if operator == "!=":
            return lambda one: _labels_of(one).get(key) != value
        return lambda one: _labels_of(one).get(key) == value
    if part.startswith("!"):
        return lambda one: part[1:].strip() not in _labels_of(one)
    if re.fullmatch(r"[\w./-]+", part):
        return lambda one: part in _labels_of(one)
    raise bad_request(f"unable to parse requirement: {part}")


def _labels_of(one: Json) -> dict[str, str]:
    return one["metadata"].get("labels") or {}


def _fields(kind: ResourceType, text: str) -> list[Matches]:
    return [_field(kind, part.strip()) for part in text.split(",") if part.strip()]


def _field(kind: ResourceType, part: str) -> Matches:
    found = _EQUAL.fullmatch(part)
    if found is None:
        raise bad_request(f"invalid selector: {part!r}")
    path, operator, value = found[1], found[2], found[3]
    known = ("metadata.name", "metadata.namespace", *(() if kind.custom else _FIELDS.get(kind.plural, ())))
    if path not in known:
        raise bad_request(f"field label not supported: {path}")
    return lambda one: (_at(one, path) == value) is (operator != "!=")


def _at(one: Json, path: str) -> str:
    value: object = one
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else str(value)
