"""What is mounted beside a sidecar, as it is now: the keys of its storage, and its mappings' annotation.

Asked in every cycle, so that a bound claim, rotated keys or edited mappings are picked up without a
restart. Kubelet swaps such files under us; each look reads one consistent set.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from contract import names
from contract.mapping import MappingError
from contract.spec import mappings_from_annotation
from contract.storage import CONFIG_MAP_KEYS, STORAGE_KEYS, MissingFields, Storage, StorageError, storage_from
from sidecar.settings import Settings

_LARGEST_FILE: Final = 1 << 20  # bytes; a ConfigMap or Secret holds no more


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
