"""The sidecar's settings: the environment, read once, with all faults reported together.

What is mounted, and read again and again, is ``mounted.py``'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Final

from contract import names
from contract.mapping import Mapping, MappingError, check_overlap, expand
from contract.paths import VARIABLES
from contract.quantity import parse_bytes, parse_duration
from contract.spec import SpecError, SyncSpec
from contract.storage import CA_FILE, STORAGE_KEYS
from runtime.access import Access, ShowNames
from runtime.environment import Environment, choice, level, listen
from sidecar.limits import Floor

OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Times in seconds, sizes in bytes."""

    spec: SyncSpec = field(default_factory=SyncSpec)
    export_dir: str = names.EXPORT_DIR
    state_dir: str = f"{names.EXPORT_DIR}/{names.OWN_DIR}"
    storage_dir: str = names.STORAGE_DIR
    podinfo_dir: str = names.PODINFO_DIR
    listen: str = f"0.0.0.0:{names.PORT}"  # or OFF
    listen_tls: tuple[str, str] | None = None  # PEM files: certificate, key
    access: Access = field(default_factory=Access)
    reconcile_interval: float = 3600.0  # 0: only at start
    rescan_interval: float = 600.0
    ingress_max_bytes: int | None = None
    floor: Floor = field(default_factory=Floor)
    bandwidth: int | None = None  # bytes per second, both directions together
    request_budget: int | None = None  # requests to the bucket in one UTC day
    grace_period: float = 25.0
    log_level: str = "INFO"
    namespace: str = ""
    variables: Dict[str, str] = field(default_factory=dict)
    storage_variables: Dict[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def from_env(env: Dict[str, str]) -> Settings:
        """The settings in ``env``; what is absent or empty has its default.

        Raises:
            SettingsError: naming every variable that cannot be used, and why.
        """
        environment = Environment(env)
        read, text = environment.read, environment.text
        try:
            spec = SyncSpec.from_env(env)
        except SpecError as error:
            spec = SyncSpec()
            environment.fault(*error.faults)
        export_dir = read("DATA_SYNC_EXPORT_DIR", names.EXPORT_DIR, _directory)
        settings = Settings(
            spec=spec,
            export_dir=export_dir,
            state_dir=read("DATA_SYNC_STATE_DIR", f"{export_dir}/{names.OWN_DIR}", _directory),
            storage_dir=text("DATA_SYNC_STORAGE_DIR", names.STORAGE_DIR),
            podinfo_dir=text("DATA_SYNC_PODINFO_DIR", names.PODINFO_DIR),
            listen=read("DATA_SYNC_LISTEN", f"0.0.0.0:{names.PORT}", _listen),
            listen_tls=_listen_tls(environment),
            access=Access(
                token_file=read("DATA_SYNC_STATUS_TOKEN_FILE", "", _absolute),
                names=read("DATA_SYNC_SHOW_NAMES", ShowNames.LOOPBACK, _show_names),
            ),
            reconcile_interval=read("DATA_SYNC_RECONCILE_INTERVAL", 3600.0, parse_duration),
            rescan_interval=read("DATA_SYNC_RESCAN_INTERVAL", 600.0, parse_duration),
            ingress_max_bytes=read("DATA_SYNC_INGRESS_MAX_BYTES", None, parse_bytes),
            floor=read("DATA_SYNC_MIN_FREE", Floor(), Floor.parse),
            bandwidth=read("DATA_SYNC_BANDWIDTH", None, _bandwidth),
            request_budget=read("DATA_SYNC_REQUEST_BUDGET", None, _request_budget),
            grace_period=read("DATA_SYNC_GRACE_PERIOD", 25.0, parse_duration),
            log_level=read("DATA_SYNC_LOG_LEVEL", "INFO", level),
            namespace=text("POD_NAMESPACE"),
            variables={name: env[name] for name in VARIABLES if env.get(name)},
            storage_variables={key: env[key] for key in STORAGE_KEYS if key != CA_FILE and env.get(key)},
        )
        environment.fault(*_expansion_faults(settings))
        environment.finish()
        return settings

    def expanded(self, mappings: tuple[Mapping, ...]) -> tuple[Mapping, ...]:
        """``mappings`` with their ``$(NAME)`` filled in.

        Raises:
            MappingError: a variable has no value here, or two prefixes that were apart overlap now.
        """
        expanded = tuple(expand(mapping, self.variables) for mapping in mappings)
        check_overlap(expanded)
        return expanded


def _expansion_faults(settings: Settings) -> list[str]:
    faults: list[str] = []
    for variable, mappings in (
        ("DATA_SYNC_EGRESS", settings.spec.egress),
        ("DATA_SYNC_INGRESS", settings.spec.ingress),
    ):
        try:
            settings.expanded(mappings)
        except MappingError as error:
            faults += [f"{variable}: {fault}" for fault in error.faults]
    return faults


def _absolute(text: str) -> str:
    if not os.path.isabs(text):
        raise ValueError(f"{text!r} is no absolute path")
    return text


def _directory(text: str) -> str:
    return _absolute(text).rstrip("/") or "/"


def _listen(text: str) -> str:
    return text if text == OFF else listen(text)


def _listen_tls(environment: Environment) -> tuple[str, str] | None:
    certificate, key = (environment.text(f"DATA_SYNC_LISTEN_TLS_{one}") for one in ("CERT", "KEY"))
    if certificate and not key:
        environment.fault("DATA_SYNC_LISTEN_TLS_CERT: is of no use without DATA_SYNC_LISTEN_TLS_KEY")
    if key and not certificate:
        environment.fault("DATA_SYNC_LISTEN_TLS_KEY: is of no use without DATA_SYNC_LISTEN_TLS_CERT")
    return (certificate, key) if certificate and key else None


def _show_names(text: str) -> ShowNames:
    return ShowNames(choice(*ShowNames)(text))


def _bandwidth(text: str) -> int:
    value = parse_bytes(text)
    if value < 1024:
        raise ValueError(f"{text!r} is less than 1Ki a second")
    return value


def _request_budget(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not int(text):
        raise ValueError(f"{text[:40]!r} is no number of requests a day, such as 20000")
    return int(text)
