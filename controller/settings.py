"""``CONTROLLER_*`` variables → frozen settings, with all faults reported together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.names import image_name, namespace_name, object_name
from contract.quantity import parse_duration, parse_period
from runtime import VERSION
from runtime.environment import Environment, boolean, choice, level, listen, number

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
        environment = Environment(env)
        storage = StorageSettings(
            auto_create=environment.read(OBC_AUTO_CREATE, True, boolean),
            storage_class=environment.read(OBC_STORAGE_CLASS, "openshift-storage.noobaa.io", object_name),
            reclaim_policy=environment.read(OBC_RECLAIM_POLICY, DELETE, choice(DELETE, RETAIN)),
            release_limit=environment.read(RELEASE_LIMIT, 600.0, parse_duration),
        )
        drain = DrainSettings(
            sidecar_image=environment.read(SIDECAR_IMAGE, DEFAULT_SIDECAR_IMAGE, image_name),
            deadline=environment.read(DRAIN_DEADLINE, 300.0, parse_period),
        )
        own_namespace = environment.read(POD_NAMESPACE, "", namespace_name)
        settings = Settings(
            storage=storage,
            drain=drain,
            status_token_file=environment.text(STATUS_TOKEN_FILE),
            metrics_listen=environment.read(METRICS_LISTEN, "0.0.0.0:9346", listen),
            log_level=environment.read(LOG_LEVEL, "INFO", level),
            workers=environment.read(WORKERS, 4, number(1, 64)),
            resync_interval=environment.read(RESYNC_INTERVAL, 600.0, parse_period),
            lease_name=environment.read(LEASE_NAME, "data-sync-controller", object_name),
            lease_namespace=environment.read(LEASE_NAMESPACE, own_namespace, namespace_name),
            identity=environment.text(POD_NAME),
        )
        environment.finish()
        return settings
