"""The watches over the directories of all mappings: made when they can be, given up loudly, once.

A mapping that cannot be watched is walked every cycle; it is tried again after the rescan interval,
since limits are raised and volumes come back.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contract.mapping import Mapping
from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.local.directories import Root
from sidecar.local.watch import CannotWatch, Hints, Skip, Watch

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    root: Root
    watch: Watch

    def close(self) -> None:
        self.watch.close()
        self.root.close()


class Watches:
    """See the module. The engine's thread alone uses it.

    ``retry``: seconds before a mapping that could not be watched is tried again.
    """

    def __init__(self, export_dir: str, retry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._export_dir = export_dir
        self._retry = retry
        self._clock = clock
        self._open: dict[Mapping, _Watched] = {}
        self._failed: dict[Mapping, float] = {}

    @property
    def degraded(self) -> bool:
        """Whether some mapping is walked every cycle because it cannot be watched."""
        return bool(self._failed)

    def take(self, mapping: Mapping, skip: Skip) -> Hints:
        """What happened below the directory of ``mapping`` since the last call; at first, everything."""
        watched = self._open.get(mapping)
        if watched is not None and not (watched.watch.usable and self._still_there(watched.root)):
            self._open.pop(mapping).close()
            watched = None
        if watched is None:
            watched = self._make(mapping, skip)
        return watched.watch.take() if watched is not None else Hints(everything=True)

    def forget(self, mapping: Mapping) -> None:
        """Watch ``mapping`` anew: what is passed over has changed."""
        watched = self._open.pop(mapping, None)
        if watched is not None:
            watched.close()

    def keep(self, mappings: Iterable[Mapping]) -> None:
        """Give up what is no longer synced."""
        kept = set(mappings)
        for mapping in [mapping for mapping in self._open if mapping not in kept]:
            self._open.pop(mapping).close()
        self._failed = {mapping: since for mapping, since in self._failed.items() if mapping in kept}

    def close(self) -> None:
        """Give up all."""
        self.keep(())

    def _make(self, mapping: Mapping, skip: Skip) -> _Watched | None:
        failed = self._failed.get(mapping)
        if failed is not None and self._clock() - failed < self._retry:
            return None
        try:
            root = Root(self._export_dir)
        except SyncError:
            return None  # the pass that follows says so
        try:
            watched = _Watched(root, Watch(root, mapping.directory, skip))
        except CannotWatch as error:
            root.close()
            if failed is None:
                log.warning(
                    "cannot watch; walking every cycle instead", **fields(directory=mapping.directory, error=str(error))
                )
            self._failed[mapping] = self._clock()
            return None
        except (FileNotFoundError, SyncError):
            root.close()
            return None  # not there yet, or barred: the walk reports it
        self._failed.pop(mapping, None)
        self._open[mapping] = watched
        return watched

    def _still_there(self, root: Root) -> bool:
        try:
            now, then = os.stat(self._export_dir), os.fstat(root.fd)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)
