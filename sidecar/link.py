"""The link to the bucket as it is configured at this moment: opened, reopened, or waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from contract.conditions import Because
from contract.storage import Credentials, Storage
from runtime.logs import fields, hide
from sidecar.mounted import StorageFiles, Waiting
from sidecar.remote.order import Ordering
from sidecar.remote.store import ObjectStore
from sidecar.reporting.progress import Progress

log = logging.getLogger(__name__)


class CyclingStore(ObjectStore, Protocol):
    """A store that knows about cycles: with each, its budget for trying again is full."""

    def new_cycle(self) -> None:
        """A new cycle begins."""


class Opened(NamedTuple):
    """What the composition root gives for a storage; ``close`` lets its connections go."""

    store: CyclingStore
    close: Callable[[], None]


OpenStore = Callable[[Storage, Credentials], Opened]


class Link:
    """``store`` and ``storage`` are None while something is missing; then ``progress.waiting_for`` says what."""

    def __init__(
        self, files: StorageFiles, credentials: Credentials, open_store: OpenStore, progress: Progress, spill_dir: str
    ) -> None:
        self._files = files
        self._credentials = credentials
        self._open = open_store
        self._progress = progress
        self._spill_dir = spill_dir
        self.storage: Storage | None = None
        self._opened: Opened | None = None
        self.ordering = Ordering(spill_dir)

    def refresh(self) -> None:
        """Read the storage keys again and reopen the store where they changed."""
        found = self._files.read()
        if isinstance(found, Waiting):
            self._wait(found.reason)
            return
        if found != self.storage:
            self._replace(found)
        self._progress.waiting_for = None
        if self._opened is not None:
            self._opened.store.new_cycle()

    @property
    def store(self) -> ObjectStore | None:
        """The bucket, while it is configured."""
        return self._opened.store if self._opened else None

    def close(self) -> None:
        """Let the store go."""
        if self._opened is not None:
            self._opened.close()
        self._opened = self.storage = None

    def _wait(self, reason: str) -> None:
        if self._progress.waiting_for != reason:
            log.warning("waiting for storage", **fields(reason=reason))
        self._progress.wait(Because.WAITING_FOR_STORAGE, reason)
        self._progress.storage = {}
        self.close()

    def _replace(self, storage: Storage) -> None:
        # Before anything can fail with them in its message.
        hide(storage.secret_access_key, storage.session_token)
        self.close()
        self._opened = self._open(storage, self._credentials)
        self.storage = storage
        self.ordering = Ordering(self._spill_dir)
        self._progress.storage = {"endpoint": storage.endpoint, "bucket": storage.bucket}
        log.info(
            "storage configured", **fields(endpoint=storage.endpoint, bucket=storage.bucket, region=storage.region)
        )
