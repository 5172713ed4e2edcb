"""What a worker has at hand, and what it brings back.

One bench serves all actions of one mapping in one cycle, in every worker thread. An outcome is for
the engine's thread to record; workers write no index.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from contract.mapping import Mapping
from sidecar.errors import Refused
from sidecar.limits import Memory, Space
from sidecar.local.directories import Root
from sidecar.local.staging import Staging
from sidecar.remote.store import ObjectStore
from sidecar.transfer.publish import Fetched
from sidecar.tree import Agreed, ObjectKey, RelativePath

CONTENTION_PAUSE: Final = 3600.0  # seconds between two copies set aside for one key


class Stopping(Refused):
    """The process is about to end; the next sidecar on this directory goes on."""

    reason = "stopping"


class Done(NamedTuple):
    """Both sides agree now. ``moved`` is None when comparing was enough and no body was sent."""

    agreed: Agreed
    moved: int | None
    settled: bool = True  # false: sent while being written, so it stays pending


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """There is nothing to do: the workload's own version stays."""


Outcome = Done | Fetched | LeftAlone


@dataclass(slots=True)
class Contention:
    """When a foreign version of a key was last set aside. Thread-safe, bounded."""

    clock: Callable[[], float] = time.monotonic
    _last: dict[ObjectKey, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may_set_aside(self, key: ObjectKey) -> bool:
        """True at most once an hour for each key; true marks it."""
        now = self.clock()
        with self._lock:
            if now - self._last.get(key, -CONTENTION_PAUSE) < CONTENTION_PAUSE:
                return False
            if len(self._last) >= 10_000:
                self._last.clear()
            self._last[key] = now
            return True

    def not_set_aside(self, key: ObjectKey) -> None:
        """It failed after all: the next try is not one more."""
        with self._lock:
            self._last.pop(key, None)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a worker needs at hand; the same for all actions of one mapping in one cycle."""

    root: Root
    mapping: Mapping  # expanded
    store: ObjectStore
    staging: Staging
    space: Space
    memory: Memory  # what bodies may be held at once
    writer: str
    contention: Contention
    now: Callable[[], float]  # seconds since the epoch
    stamp: Callable[[], str]  # the UTC time for names
    alive: Callable[[], None]  # "still making progress"
    beat: Callable[[], None]  # the same, from within a transfer: raises Stopping when time is up
    throttle: Callable[[int], None]  # wait until so many bytes may be moved
    may_wait: Callable[[str], bool]  # whether a file that keeps changing should wait for a quiet moment

    def path(self, path: RelativePath) -> str:
        """``path`` of the mapping as a path below the exported directory."""
        directory = self.mapping.directory
        return path if directory == "." else f"{directory}/{path}"
