"""The sidecar's settings: the environment once, the storage files and podinfo again and again.

``Settings.from_env`` validates everything and reports all faults together. :class:`StorageFiles` and
:class:`Podinfo` are asked every cycle, so that a bound claim, rotated keys or edited mappings are
picked up without a restart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping as Dict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from contract import names
from contract.mapping import Mapping, MappingError, check_overlap, expand
from contract.paths import VARIABLES
from contract.quantity import parse_bytes, parse_duration
from contract.spec import SpecError, SyncSpec, mappings_from_annotation
from contract.storage import (
    CA_FILE,
    CONFIG_MAP_KEYS,
    STORAGE_KEYS,
    MissingFields,
    Storage,
    StorageError,
    storage_from,
)
from runtime.access import Access, ShowNames
from runtime.environment import Environment, choice, level, listen
from sidecar.limits import Floor

OFF: Final = "off"
_LARGEST_FILE: Final = 1 << 20  # bytes; a ConfigMap or Secret holds no more


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """The storage is not complete yet; ``reason`` says what is missing and where."""

    reason: str


class StorageFiles:
    """Reads the storage keys from their one place: claim, else external, else plain files, else variables."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self) -> Storage | Waiting:
        """The storage as it is configured at this moment, from one consistent set of files."""
        problems: list[str] = []
        for place, resources, texts in self._places():
            try:
                return storage_from(texts, self._settings.spec.credentials)
            except MissingFields as error:
                if texts or not problems:
                    problems.append("; ".join(self._missing(key, place, resources) for key in error.fields))
            except StorageError as error:
                problems.append(f"{error} (in {place})")
        return Waiting(problems[-1] if len(problems) == 1 else "; ".join(dict.fromkeys(problems)))

    def _places(self) -> list[tuple[str, tuple[str, str], dict[str, str]]]:
        """Place, its (ConfigMap, Secret) names and its texts, in order of precedence."""
        spec, base = self._settings.spec, self._settings.storage_dir
        places = []
        external = (spec.config_map, spec.secret)
        with _consistent(base) as fd:
            claim_texts = _read_keys(fd, names.CLAIM_DIR)
            if spec.claim or claim_texts:
                if claim_texts:  # else all of it is still missing, and is told so
                    claim_texts |= dict(spec.claim_overrides)
                places.append((f"{base}/{names.CLAIM_DIR}", (spec.claim, spec.claim), claim_texts))
            external_texts = _read_keys(fd, names.EXTERNAL_DIR)
            if any(external) or external_texts:
                places.append((f"{base}/{names.EXTERNAL_DIR}", external, external_texts))
            plain_texts = _read_keys(fd, ".")
            if plain_texts or not places:
                places.append((base, ("", ""), plain_texts))
        if self._settings.storage_variables:
            places.append(("the environment", ("", ""), dict(self._settings.storage_variables)))
        return places

    def _missing(self, key: str, place: str, resources: tuple[str, str]) -> str:
        name = resources[0] if key in CONFIG_MAP_KEYS else resources[1]
        resource = f"{self._settings.namespace}/{name}" if name else place
        return f"Missing field {key} in resource {resource}"


class Podinfo:
    """The ``mappings`` annotation as kubelet keeps it in a file; absent is fine."""

    def __init__(self, settings: Settings) -> None:
        self._path = f"{settings.podinfo_dir}/{names.MAPPINGS_FILE}"
        self._settings = settings
        self._seen = ""
        self.mappings = settings.expanded(settings.spec.mappings)
        self.fault: str | None = None  # what is wrong with the file as it is now

    def refresh(self) -> bool:
        """Take over what the file says, when that is new and valid; whether :attr:`mappings` changed."""
        text = _read_text(None, self._path)
        if text is None or text.strip() in ("", self._seen):
            return False
        self._seen = text.strip()
        try:
            egress, ingress = mappings_from_annotation(self._seen)
            mappings = self._settings.expanded(egress + ingress)
        except MappingError as error:
            self.fault = f"annotation {names.MAPPINGS}: {error}; the last good mappings stay in force"
            return False
        self.fault = None
        changed = mappings != self.mappings
        self.mappings = mappings
        return changed


class _consistent:  # noqa: N801 - reads as a word in a with statement
    """A descriptor of the directory that holds one consistent set of a projected volume's files.

    Kubelet swaps the link ``..data`` to a new directory; through one opened directory all files are of
    one version. None where the directory is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> int | None:
        for path in (f"{self._path}/..data", self._path):
            with suppress(OSError):
                self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                return self._fd
        return None

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _read_keys(base: int | None, directory: str) -> dict[str, str]:
    if base is None:
        return {}
    texts = {key: _read_text(base, f"{directory}/{key}") for key in STORAGE_KEYS}
    return {key: text for key, text in texts.items() if text is not None}


def _read_text(base: int | None, path: str) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=base)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            return file.read(_LARGEST_FILE).decode("utf-8", "replace")
        except OSError:
            return None


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
