"""A device in a test: the whole engine on a real directory, with the store in memory and the clock in hand.

Everything between the settings and the ObjectStore is the real thing. One :meth:`Device.cycle` is
one cycle of the daemon.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from contract.mapping import Direction, parse_mappings
from contract.names import OWN_DIR
from contract.spec import SyncSpec
from contract.storage import Credentials, Storage
from runtime.shutdown import Shutdown
from sidecar.budget import RequestBudget
from sidecar.engine import Engine
from sidecar.limits import Floor
from sidecar.link import Opened
from sidecar.remote.retry import Retry, RetryingStore, RetryPolicy
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Progress, Tally
from sidecar.settings import Settings
from sidecar.tree import ETag, ObjectKey
from tests.fakes.store import FakeStore

KEYS = {
    "BUCKET_NAME": "bucket",
    "BUCKET_HOST": "s3.example",
    "AWS_ACCESS_KEY_ID": "access",
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
}


class Device:
    """See the module. ``egress`` and ``ingress`` are lists of ``{source, target, …}``."""

    def __init__(
        self,
        directory: Path,
        *,
        egress: list[dict[str, Any]] | None = None,
        ingress: list[dict[str, Any]] | None = None,
        store: FakeStore | None = None,
        requests_a_day: int | None = None,
        floor: Floor = Floor(0, 0.0),  # noqa: B008 - frozen
        **settings: Any,
    ) -> None:
        self.export = directory / "export"
        self.export.mkdir(parents=True, exist_ok=True)
        self.storage_dir = directory / "storage"
        self.storage_dir.mkdir(exist_ok=True)
        self.podinfo_dir = directory / "podinfo"
        self.podinfo_dir.mkdir(exist_ok=True)
        self.set_storage(KEYS)
        self.store = store or FakeStore(clock=lambda: self.now)
        self.now = 1_800_000_000.0
        self.opened: list[Storage] = []
        self._requests_a_day = requests_a_day
        self._settings = Settings(
            spec=SyncSpec(
                egress=parse_mappings(Direction.EGRESS, egress),
                ingress=parse_mappings(Direction.INGRESS, ingress),
                config_map="config",
                secret="keys",
            ),
            export_dir=str(self.export),
            state_dir=str(self.export / OWN_DIR),
            storage_dir=str(self.storage_dir),
            podinfo_dir=str(self.podinfo_dir),
            floor=floor,
            namespace="edge",
            **settings,
        )
        self.start()

    def start(self) -> None:
        """A new process on the same directory."""
        self.monotonic = self.now
        self.shutdown = Shutdown(grace=10.0)
        self.progress = Progress(lambda: self.now)
        self.metrics = Metrics(self.progress, lambda: self.now)
        self.budget = RequestBudget(self._requests_a_day, str(self.export / OWN_DIR), lambda: self.now)
        self.store.on_request = self.budget.count
        self.engine = Engine(
            self._settings,
            self.progress,
            self.metrics,
            self.shutdown,
            self._open,
            clock=lambda: self.monotonic,
            now=lambda: self.now,
            budget=self.budget,
        )

    def restart(self) -> None:
        """End this process in order and start the next."""
        self.close()
        self.start()

    def kill(self) -> None:
        """End this process without a word: what was not written is forgotten."""
        if (lock := self.engine._lock)._fd is not None:
            os.close(lock._fd)  # as the end of a process does
            lock._fd = None
        if (syncer := self.engine._syncer) is not None:
            syncer._index._rows.clear()
            syncer.close()
            self.engine._syncer = None

    def close(self) -> None:
        """End this process in order."""
        self.engine._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cycle(self) -> dict[Direction, list[Tally]]:
        """One cycle; tallies by direction."""
        assert self.engine._take_over(), "another process holds the directory"
        tallies = self.engine._cycle()
        found: dict[Direction, list[Tally]] = {direction: [] for direction in Direction}
        if tallies is not None:
            for entry, tally in zip(self.progress.mappings(), tallies, strict=True):
                found[entry.mapping.direction].append(tally)
        return found

    def egress(self) -> Tally:
        """One cycle; the tally of the only egress mapping."""
        (tally,) = self.cycle()[Direction.EGRESS]
        return tally

    def ingress(self) -> Tally:
        """One cycle; the tally of the only ingress mapping."""
        (tally,) = self.cycle()[Direction.INGRESS]
        return tally

    def pass_time(self, seconds: float) -> None:
        """Let time go by on every clock of the device."""
        self.now += seconds
        self.monotonic += seconds

    def write(self, path: str, body: str | bytes, *, age: float = 3600.0) -> Path:
        """Write a file as a workload does; ``age`` is how old its mtime is."""
        target = self.export / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body.encode() if isinstance(body, str) else body)
        os.utime(target, (self.now - age, self.now - age))
        return target

    def read(self, path: str) -> str:
        """The content of a file on the device."""
        return (self.export / path).read_text()

    def files(self, below: str = ".") -> dict[str, str]:
        """Every regular file below a directory that a workload can see, with its content."""
        top = self.export / below
        return {
            str(file.relative_to(top)): file.read_bytes().decode("utf-8", "replace")
            for file in sorted(top.rglob("*"))
            if file.is_file() and not file.is_symlink() and OWN_DIR not in file.relative_to(top).parts
        }

    def held_or_visible(self) -> list[str]:
        """The contents of all files on the device that are somebody's: those, and the replaced ones that are held."""
        held = self.export / OWN_DIR / "staging/held"
        return [*self.files().values(), *(file.read_text() for file in held.iterdir())]

    def put(self, key: str, body: str, metadata: dict[str, str] | None = None) -> ETag:
        """Write an object as somebody else does."""
        return self.store.put(ObjectKey(key), body.encode(), metadata or {})

    def remove(self, key: str) -> None:
        """Remove an object as somebody else does."""
        self.store.objects.pop(ObjectKey(key), None)

    def stored(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Every object with its content and metadata."""
        found = sorted(self.store.objects.items())
        return {key: (stored.body.decode("utf-8", "replace"), stored.info.metadata) for key, stored in found}

    def objects(self) -> dict[str, str]:
        """Every object with its content."""
        return {key: body for key, (body, _) in self.stored().items()}

    def requests(self) -> list[str]:
        """Operations since the last call."""
        made = [operation for operation, _ in self.store.requests]
        self.store.requests.clear()
        return made

    def set_storage(self, texts: Mapping[str, str], below: str = "external") -> None:
        """Replace the storage files."""
        directory = self.storage_dir / below
        directory.mkdir(exist_ok=True)
        for old in directory.iterdir():
            old.unlink()
        for key, text in texts.items():
            (directory / key).write_text(text)

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of one series."""
        return self.metrics.registry.get_sample_value(f"data_sync_{name}", labels)

    def _open(self, storage: Storage, _credentials: Credentials) -> Opened:
        self.opened.append(storage)
        retry = Retry(
            RetryPolicy(), lambda _seconds: False, random.Random(1).random, lambda: self.monotonic, self.budget.allow
        )
        return Opened(RetryingStore(self.store, retry), lambda: None)
