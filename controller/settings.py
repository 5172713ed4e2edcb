"""``CONTROLLER_*`` variables → frozen settings, with all faults reported together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from contract.names import is_dns_label
from contract.quantity import parse_duration
from runtime import VERSION
from runtime.endpoints import parse_listen

METRICS_LISTEN: Final = "CONTROLLER_METRICS_LISTEN"
LOG_LEVEL: Final = "CONTROLLER_LOG_LEVEL"
WORKERS: Final = "CONTROLLER_WORKERS"
RESYNC_INTERVAL: Final = "CONTROLLER_RESYNC_INTERVAL"
LEASE_NAME: Final = "CONTROLLER_LEASE_NAME"
LEASE_NAMESPACE: Final = "CONTROLLER_LEASE_NAMESPACE"
OBC_AUTO_CREATE: Final = "CONTROLLER_OBC_AUTO_CREATE"
OBC_STORAGE_CLASS: Final = "CONTROLLER_OBC_STORAGE_CLASS"
OBC_RECLAIM_POLICY: Final = "CONTROLLER_OBC_RECLAIM_POLICY"
RELEASE_LIMIT: Final = "CONTROLLER_RELEASE_LIMIT"
SIDECAR_IMAGE: Final = "CONTROLLER_SIDECAR_IMAGE"
DRAIN_DEADLINE: Final = "CONTROLLER_DRAIN_DEADLINE"
STATUS_TOKEN_FILE: Final = "CONTROLLER_STATUS_TOKEN_FILE"  # noqa: S105 - a variable's name
POD_NAME: Final = "POD_NAME"
POD_NAMESPACE: Final = "POD_NAMESPACE"

DEFAULT_SIDECAR_IMAGE: Final = f"flotta-data-sync-sidecar:{VERSION}"

DELETE: Final = "Delete"
RETAIN: Final = "Retain"

T = TypeVar("T")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class SettingsError(ValueError):
    """Variables that cannot be used; ``faults`` has one sentence for each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """How devices get their storage, and how they give it back."""

    auto_create: bool = True  # a claim for each device that names no storage of its own
    storage_class: str = "openshift-storage.noobaa.io"  # of the claims
    reclaim_policy: str = DELETE  # what becomes of a device's claim when the device goes: Delete or Retain
    release_limit: float = 600.0  # seconds that a deletion waits for pods that still sync with the device


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """How what pods left behind is sent before it is released."""

    sidecar_image: str = DEFAULT_SIDECAR_IMAGE  # of the container that waits for the sidecar
    deadline: float = 300.0  # seconds that one drain may take


@dataclass(frozen=True, slots=True)
class Settings:
    """All that ``python -m controller`` is started with."""

    storage: StorageSettings = field(default_factory=StorageSettings)
    drain: DrainSettings = field(default_factory=DrainSettings)
    status_token_file: str = ""  # with the token that sidecars ask for at /status; empty: none is shown
    metrics_listen: str = "0.0.0.0:9346"
    log_level: str = "INFO"
    workers: int = 4  # objects looked at at once
    resync_interval: float = 600.0  # seconds between two looks at everything, whatever the watches told
    lease_name: str = "data-sync-controller"
    lease_namespace: str = ""  # empty: the controller's own
    identity: str = ""  # of this replica, in the lease; empty: host name and a random part

    @staticmethod
    def from_env(env: Mapping[str, str]) -> Settings:
        """The settings in ``env``; an absent or empty variable means its default.

        Raises:
            SettingsError: naming every variable that cannot be used.
        """
        reader = _Reader(env)
        storage = StorageSettings(
            auto_create=reader.read(OBC_AUTO_CREATE, "true", _boolean),
            storage_class=reader.read(OBC_STORAGE_CLASS, "openshift-storage.noobaa.io", _subdomain),
            reclaim_policy=reader.read(OBC_RECLAIM_POLICY, DELETE, _policy),
            release_limit=reader.read(RELEASE_LIMIT, "10m", parse_duration),
        )
        drain = DrainSettings(
            sidecar_image=reader.read(SIDECAR_IMAGE, DEFAULT_SIDECAR_IMAGE, _image),
            deadline=reader.read(DRAIN_DEADLINE, "5m", _interval),
        )
        settings = Settings(
            storage=storage,
            drain=drain,
            status_token_file=env.get(STATUS_TOKEN_FILE, ""),
            metrics_listen=reader.read(METRICS_LISTEN, "0.0.0.0:9346", _listen),
            log_level=reader.read(LOG_LEVEL, "INFO", _log_level),
            workers=reader.read(WORKERS, "4", _workers),
            resync_interval=reader.read(RESYNC_INTERVAL, "10m", _interval),
            lease_name=reader.read(LEASE_NAME, "data-sync-controller", _subdomain),
            lease_namespace=reader.read(LEASE_NAMESPACE, "", _namespace) or reader.read(POD_NAMESPACE, "", _namespace),
            identity=env.get(POD_NAME, ""),
        )
        reader.finish()
        return settings


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._faults: list[str] = []

    def read(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self._env.get(name, "").strip() or default)
        except ValueError as error:
            self._faults.append(f"{name}: {error}")
            return parse(default)

    def finish(self) -> None:
        if self._faults:
            raise SettingsError(self._faults)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither 'true' nor 'false'")
    return text == "true"


def _policy(text: str) -> str:
    if text not in (DELETE, RETAIN):
        raise ValueError(f"{text!r} is neither {DELETE!r} nor {RETAIN!r}")
    return text


def _image(text: str) -> str:
    if re.search(r"\s", text):
        raise ValueError(f"{text!r} is no image's name")
    return text


def _subdomain(text: str) -> str:
    if len(text) > 253 or not _SUBDOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a Kubernetes object")
    return text


def _namespace(text: str) -> str:
    if text and not is_dns_label(text):
        raise ValueError(f"{text!r} is no namespace's name")
    return text


def _listen(text: str) -> str:
    parse_listen(text)
    return text


def _log_level(text: str) -> str:
    known = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in known:
        raise ValueError(f"{text!r} is none of {', '.join(known)}")
    return text


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 64):
        raise ValueError(f"{text!r} is no number from 1 to 64")
    return int(text)


def _interval(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is shorter than 1s")
    return seconds
