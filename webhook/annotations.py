"""The pod's annotations → :class:`Options`, with every fault named by annotation and value.

Only reads texts: what the options mean for a pod is ``resolution``'s and ``decision``'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

import yaml

from contract import names
from contract.mapping import Direction, MappingError, check_overlap, parse_mappings
from contract.mapping import Mapping as SyncMapping
from contract.names import is_subdomain
from contract.spec import DEFAULT_INTERVAL, parse_interval
from contract.storage import Credentials

_MAPPINGS_LIMIT: Final = 64 * 1024  # characters; all annotations of an object share 256 KiB
_SHOWN: Final = 120  # characters of a bad value that are repeated to the user
_NONE: Final[tuple[SyncMapping, ...] | None] = None
_UNSAID: Final[Credentials | None] = None

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Mode(StrEnum):
    """How the sidecar runs; ``AUTO`` is what the cluster can do best."""

    AUTO = "auto"
    NATIVE = "native"
    CLASSIC = "classic"


class Scope(StrEnum):
    """Who shares one exported directory: a workload's pods on one node, or nobody."""

    WORKLOAD = "workload"
    POD = "pod"


class VolumeKind(StrEnum):
    """What lies behind ``/export``."""

    HOST_PATH = "hostPath"
    EMPTY_DIR = "emptyDir"
    CLAIM = "pvc"


@dataclass(frozen=True, slots=True)
class Volume:
    """What lies behind ``/export``; ``claim`` names the PersistentVolumeClaim of kind ``CLAIM``."""

    kind: VolumeKind = VolumeKind.HOST_PATH
    claim: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """The annotations of one pod, read. ``faults`` are sentences; a faulty option has its default."""

    egress: tuple[SyncMapping, ...] | None = None  # None: the annotation is absent, an EdgeWorkload may supply it
    ingress: tuple[SyncMapping, ...] | None = None
    workload: str = ""
    owner_kind: str = ""
    device: str = ""
    config_map: str = ""
    secret: str = ""
    credentials: Credentials | None = None  # None: as the storage's own default has it
    interval: float = DEFAULT_INTERVAL  # seconds
    scope: Scope = Scope.WORKLOAD
    volume: Volume = field(default_factory=Volume)
    wait_for_ingress: bool = False
    mode: Mode = Mode.AUTO
    unknown: tuple[str, ...] = ()  # keys with our prefix that mean nothing
    faults: tuple[str, ...] = ()


def read_options(annotations: Mapping[str, str]) -> Options:
    """The options in ``annotations``; never raises, all faults are collected."""
    reader = _Reader(annotations)
    egress = reader.read(names.EGRESS, _NONE, lambda text: _mappings(Direction.EGRESS, text))
    ingress = reader.read(names.INGRESS, _NONE, lambda text: _mappings(Direction.INGRESS, text))
    reader.check_overlap((egress or ()) + (ingress or ()))
    return Options(
        egress=egress,
        ingress=ingress,
        workload=reader.read(names.WORKLOAD, "", _dns_label),
        owner_kind=reader.read(names.OWNER_KIND, "", _kind),
        device=reader.read(names.DEVICE, "", _resource_name),
        config_map=reader.read(names.S3_CONFIG_MAP, "", _resource_name),
        secret=reader.read(names.S3_SECRET, "", _resource_name),
        credentials=reader.read(names.S3_CREDENTIALS, _UNSAID, _choice(Credentials)),
        interval=reader.read(names.INTERVAL, DEFAULT_INTERVAL, parse_interval),
        scope=reader.read(names.EXPORT_SCOPE, Scope.WORKLOAD, _choice(Scope)),
        volume=reader.read(names.VOLUME, Volume(), _volume),
        wait_for_ingress=reader.read(names.WAIT_FOR_INGRESS, False, _boolean),
        mode=reader.read(names.SIDECAR_MODE, Mode.AUTO, _choice(Mode)),
        unknown=_unknown(annotations),
        faults=tuple(reader.faults),
    )


def shorten(value: str) -> str:
    """``value`` quoted, and cut where it would hide the sentence around it."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")


class _Reader:
    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations
        self.faults: list[str] = []

    def read(self, key: str, default: T, parse: Callable[[str], T]) -> T:
        text = self._annotations.get(key)
        if text is None:
            return default
        try:
            return parse(text)
        except MappingError as error:
            self.faults.append(f"annotation {key}: {'; '.join(error.faults)} (in {shorten(text)})")
        except ValueError as error:
            self.faults.append(f"annotation {key}: {error}")
        return default

    def check_overlap(self, mappings: tuple[SyncMapping, ...]) -> None:
        try:
            check_overlap(mappings)
        except MappingError as error:
            self.faults += [f"annotations {names.EGRESS} and {names.INGRESS}: {fault}" for fault in error.faults]


def _unknown(annotations: Mapping[str, str]) -> tuple[str, ...]:
    known = {*names.USER_ANNOTATIONS, *names.WRITTEN_ANNOTATIONS}
    return tuple(sorted(key for key in annotations if key.startswith(f"{names.PREFIX}/") and key not in known))


def _mappings(direction: Direction, text: str) -> tuple[SyncMapping, ...]:
    return parse_mappings(direction, load_yaml(text))


def load_yaml(text: str) -> Any:
    """The one JSON or YAML document in ``text``; JSON is read as JSON, since YAML knows not all of it.

    Aliases and duplicate keys are refused: a few lines of the former can stand for gigabytes, and
    of the latter one would silently win.

    Raises:
        ValueError: it is none, or too large.
    """
    if len(text) > _MAPPINGS_LIMIT:
        raise ValueError(f"it is longer than {_MAPPINGS_LIMIT} characters: {shorten(text)}")
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (json.JSONDecodeError, RecursionError):
        pass  # YAML then, which has its own word about both
    except ValueError as error:
        raise ValueError(f"{error}: {shorten(text)}") from error
    try:
        return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - a SafeLoader with less, not more
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a number beyond Python's limit
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"no valid YAML or JSON ({problem}): {shorten(text)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} is there twice")
        result[key] = value
    return result


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, duplicate keys and dates (a date is text here, as in JSON)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(problem="aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen:
                raise yaml.constructor.ConstructorError(problem=f"the key {key!r} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _dns_label(text: str) -> str:
    if not names.is_dns_label(text):
        raise ValueError(f"{shorten(text)} is no DNS label (a-z, 0-9 and '-', at most 63 characters)")
    return text


def _kind(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,62}", text):
        raise ValueError(f"{shorten(text)} is no kind of a resource")
    return text


def _resource_name(text: str) -> str:
    if not is_subdomain(text):
        raise ValueError(f"{shorten(text)} is no resource's name")
    return text


def _volume(text: str) -> Volume:
    kind, colon, claim = text.partition(":")
    if kind == VolumeKind.CLAIM and colon and is_subdomain(claim):
        return Volume(VolumeKind.CLAIM, claim)
    if text in (VolumeKind.HOST_PATH, VolumeKind.EMPTY_DIR):
        return Volume(VolumeKind(text))
    raise ValueError(f"{shorten(text)} is none of 'hostPath', 'emptyDir', 'pvc:<claim>'")


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{shorten(text)} is neither 'true' nor 'false'")
    return text == "true"


def _choice(kind: type[E]) -> Callable[[str], E]:
    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            known = ", ".join(repr(member.value) for member in kind)
            raise ValueError(f"{shorten(text)} is none of {known}") from None

    return parse
