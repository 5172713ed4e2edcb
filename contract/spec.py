"""SyncSpec: all that the webhook hands the sidecar, as environment variables.

``SyncSpec.from_env(spec.to_env()) == spec`` for every spec: what one program writes is what the
other reads. What kubelet fills in (``POD_NAME``, …) and what is the sidecar's own affair
(directories, limits) is not here: see ``webhook/injection.py`` and ``sidecar/settings.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Dict
from dataclasses import asdict, dataclass
from typing import Any, Final

from contract.mapping import Direction, Mapping, MappingError, check_overlap, parse_mappings
from contract.quantity import format_duration, parse_duration
from contract.storage import OVERRIDABLE_KEYS, Credentials

EGRESS: Final = "DATA_SYNC_EGRESS"
INGRESS: Final = "DATA_SYNC_INGRESS"
INTERVAL: Final = "DATA_SYNC_INTERVAL"
CREDENTIALS: Final = "DATA_SYNC_CREDENTIALS"
OWNER: Final = "DATA_SYNC_OWNER"
CLAIM: Final = "DATA_SYNC_STORAGE_CLAIM"
CLAIM_OVERRIDES: Final = "DATA_SYNC_STORAGE_CLAIM_OVERRIDES"
CONFIG_MAP: Final = "DATA_SYNC_STORAGE_CONFIG_MAP"
SECRET: Final = "DATA_SYNC_STORAGE_SECRET"  # noqa: S105 - a resource's name
DEVICE_ID: Final = "DEVICE_ID"

DEFAULT_INTERVAL: Final = 15.0
SHORTEST_INTERVAL: Final = 0.1  # below this a cycle is all overhead


class SpecError(ValueError):
    """Variables that cannot be used; ``faults`` has one sentence for each, naming the variable."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose directory ``/export`` is; written to the owner record and compared before any app mounts it.

    ``namespace_uid`` is empty where the webhook runs without an API server: it is then not compared.
    """

    namespace: str
    namespace_uid: str
    kind: str
    name: str

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Owner:
        """The owner in ``text``.

        Raises:
            ValueError: it is no such JSON object.
        """
        raw = _load_json(text)
        try:
            fields = {key: raw[key] for key in ("namespace", "namespace_uid", "kind", "name")}
        except (TypeError, KeyError) as error:
            raise ValueError(f"{text!r} is no owner record") from error
        if not all(isinstance(value, str) for value in fields.values()):
            raise ValueError(f"{text!r} is no owner record")
        return Owner(**fields)

    def same_as(self, other: Owner) -> bool:
        """Whether both name the same owner; an unknown namespace UID matches any."""
        if self.namespace_uid and other.namespace_uid and self.namespace_uid != other.namespace_uid:
            return False
        return (self.namespace, self.kind, self.name) == (other.namespace, other.kind, other.name)


@dataclass(frozen=True, slots=True)
class SyncSpec:
    """What to sync, how often, and which resources hold the storage keys."""

    egress: tuple[Mapping, ...] = ()
    ingress: tuple[Mapping, ...] = ()
    interval: float = DEFAULT_INTERVAL  # seconds between the starts of two cycles
    credentials: Credentials = Credentials.KEYS
    claim: str = ""  # names of the resources behind the storage directory, for messages
    config_map: str = ""
    secret: str = ""
    device: str = ""
    owner: Owner | None = None
    claim_overrides: tuple[tuple[str, str], ...] = ()  # storage key → text, instead of what the claim says

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """Egress before ingress, as they are synced."""
        return self.egress + self.ingress

    def to_env(self) -> dict[str, str]:
        """The environment variables that carry this spec; empty ones are left out."""
        env = {
            EGRESS: mappings_to_json(self.egress),
            INGRESS: mappings_to_json(self.ingress),
            INTERVAL: format_duration(self.interval),
            CREDENTIALS: self.credentials.value,
            CLAIM: self.claim,
            CONFIG_MAP: self.config_map,
            SECRET: self.secret,
            DEVICE_ID: self.device,
            OWNER: self.owner.to_json() if self.owner else "",
            CLAIM_OVERRIDES: json.dumps(dict(self.claim_overrides)) if self.claim_overrides else "",
        }
        return {name: value for name, value in env.items() if value}

    @staticmethod
    def from_env(env: Dict[str, str]) -> SyncSpec:
        """The spec in ``env``; absent or empty variables mean their default.

        Raises:
            SpecError: naming every variable that cannot be used.
        """
        faults: list[str] = []
        egress = _mappings(env, EGRESS, Direction.EGRESS, faults)
        ingress = _mappings(env, INGRESS, Direction.INGRESS, faults)
        try:
            check_overlap(egress + ingress)
        except MappingError as error:
            faults += [f"{EGRESS}, {INGRESS}: {fault}" for fault in error.faults]
        spec = SyncSpec(
            egress=egress,
            ingress=ingress,
            interval=_interval(env, faults),
            credentials=_credentials(env, faults),
            claim=env.get(CLAIM, ""),
            config_map=env.get(CONFIG_MAP, ""),
            secret=env.get(SECRET, ""),
            device=env.get(DEVICE_ID, ""),
            owner=_owner(env, faults),
            claim_overrides=_claim_overrides(env, faults),
        )
        if faults:
            raise SpecError(faults)
        return spec


def mappings_to_json(mappings: tuple[Mapping, ...]) -> str:
    """One line of JSON: the list that :func:`contract.mapping.parse_mappings` reads."""
    return json.dumps([mapping.to_json() for mapping in mappings], ensure_ascii=False)


def annotation_to_json(egress: tuple[Mapping, ...], ingress: tuple[Mapping, ...]) -> str:
    """The ``mappings`` annotation: ``{"egress": […], "ingress": […]}``."""
    return f'{{"egress": {mappings_to_json(egress)}, "ingress": {mappings_to_json(ingress)}}}'


def mappings_from_annotation(text: str) -> tuple[tuple[Mapping, ...], tuple[Mapping, ...]]:
    """Egress and ingress of a ``mappings`` annotation.

    Raises:
        MappingError: it is no such JSON, or its mappings cannot work.
    """
    try:
        raw = _load_json(text)
    except ValueError as error:
        raise MappingError([f"no valid JSON: {error}"]) from error
    if not isinstance(raw, dict) or not set(raw) <= {"egress", "ingress"}:
        raise MappingError(['an object {"egress": […], "ingress": […]} is needed'])
    egress = parse_mappings(Direction.EGRESS, raw.get("egress"))
    ingress = parse_mappings(Direction.INGRESS, raw.get("ingress"))
    check_overlap(egress + ingress)
    return egress, ingress


def parse_interval(text: str) -> float:
    """Seconds between cycles, to the millisecond, as :func:`~contract.quantity.format_duration` writes them.

    Raises:
        ValueError: no duration, or shorter than :data:`SHORTEST_INTERVAL`.
    """
    seconds = round(parse_duration(text), 3)
    if seconds < SHORTEST_INTERVAL:
        raise ValueError(f"{text!r} is shorter than {format_duration(SHORTEST_INTERVAL)}")
    return seconds


def _load_json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:  # which is no ValueError, and would end the program
        raise ValueError("nested too deeply") from error


def _mappings(env: Dict[str, str], name: str, direction: Direction, faults: list[str]) -> tuple[Mapping, ...]:
    text = env.get(name) or "[]"
    try:
        return parse_mappings(direction, _load_json(text))
    except MappingError as error:
        faults += [f"{name}: {fault}" for fault in error.faults]
    except ValueError as error:
        faults.append(f"{name}: no valid JSON ({error}): {text[:200]!r}")
    return ()


def _interval(env: Dict[str, str], faults: list[str]) -> float:
    try:
        return parse_interval(env.get(INTERVAL) or format_duration(DEFAULT_INTERVAL))
    except ValueError as error:
        faults.append(f"{INTERVAL}: {error}")
        return DEFAULT_INTERVAL


def _credentials(env: Dict[str, str], faults: list[str]) -> Credentials:
    text = env.get(CREDENTIALS) or Credentials.KEYS.value
    try:
        return Credentials(text)
    except ValueError:
        faults.append(f"{CREDENTIALS}: {text!r} is neither 'keys' nor 'chain'")
        return Credentials.KEYS


def _claim_overrides(env: Dict[str, str], faults: list[str]) -> tuple[tuple[str, str], ...]:
    text = env.get(CLAIM_OVERRIDES)
    if not text:
        return ()
    try:
        raw = _load_json(text)
    except ValueError as error:
        faults.append(f"{CLAIM_OVERRIDES}: no valid JSON ({error}): {text[:200]!r}")
        return ()
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        faults.append(f"{CLAIM_OVERRIDES}: an object of texts is needed")
        return ()
    unknown = sorted(set(raw) - set(OVERRIDABLE_KEYS))
    if unknown:
        faults.append(f"{CLAIM_OVERRIDES}: {', '.join(unknown)} is none of {', '.join(OVERRIDABLE_KEYS)}")
    return tuple(sorted(raw.items()))


def _owner(env: Dict[str, str], faults: list[str]) -> Owner | None:
    text = env.get(OWNER)
    if not text:
        return None
    try:
        return Owner.from_json(text)
    except ValueError as error:
        faults.append(f"{OWNER}: {error}")
        return None
