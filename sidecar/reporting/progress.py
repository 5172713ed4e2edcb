"""What is known at this moment: for ``/status``, ``/readyz`` and the gauges.

The engine's thread writes, the listener's threads read; one lock, short holds, bounded memory. A
number is None until it is first known, never a false 0. How it is told is ``sidecar/reporting/status.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from contract.conditions import Because
from contract.mapping import Direction, Mapping
from sidecar.budget import RequestBudget
from sidecar.reporting.status import conditions, mapping_status
from sidecar.reporting.tally import LISTED, MappingProgress, Result, Tally

__all__ = ["LISTED", "MappingProgress", "Progress", "Result", "Tally"]


class Progress:
    """See the module."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._mappings: list[MappingProgress] = []
        self.cycle = 0
        self.next_cycle_at: float | None = None  # monotonic
        self.last_complete: float | None = None
        self.waiting_for: str | None = "the first cycle"
        self.waits_because = Because.FIRST_CYCLE
        self.storage: dict[str, str] = {}
        self.notices: dict[str, str] = {}
        self.standby = False
        self.lock_held: bool | None = None
        self.free_bytes: int | None = None
        self.total_bytes: int | None = None
        self.floor_bytes: int | None = None
        self.clock_skew: float | None = None  # seconds that our clock is ahead of the server's
        self.watcher_degraded: bool | None = None
        self.requests: RequestBudget | None = None
        self.holder: dict[str, Any] | None = None  # what the holder of the lock last said

    def wait(self, because: Because, sentence: str) -> None:
        """Nothing is synced at this moment; ``sentence`` says what is missing, without a file's name."""
        self.waits_because, self.waiting_for = because, sentence

    def set_mappings(self, mappings: tuple[Mapping, ...]) -> None:
        """These are synced from now on; what is known of those that stay is kept."""
        with self._lock:
            known = {entry.mapping: entry for entry in self._mappings}
            self._mappings = [known.get(mapping) or MappingProgress(mapping) for mapping in mappings]

    def begin(self, mapping: Mapping) -> Tally:
        """A pass over ``mapping`` starts."""
        entry = self._entry(mapping)
        tally = Tally()
        with self._lock:
            entry.now = tally
        return tally

    def end(self, mapping: Mapping) -> None:
        """The pass over ``mapping`` is over."""
        entry = self._entry(mapping)
        with self._lock:
            tally, entry.now = entry.now, None
            if tally is None:
                return
            tally.close()
            if tally.error is not None and entry.last is not None:
                # It did not come to the end, so what it counted of the whole is too little.
                tally.indexed, tally.ingress_bytes = entry.last.indexed, entry.last.ingress_bytes
            entry.last = tally
            if tally.transferred:
                entry.last_transfer = self._now()
            if tally.complete:
                entry.last_success = self._now()

    def mappings(self) -> list[MappingProgress]:
        """Every mapping's state, in order of syncing."""
        with self._lock:
            return list(self._mappings)

    def status(self, *, with_names: bool) -> dict[str, Any]:
        """The body of ``/status``. ``with_names``: whether names of files may be shown."""
        remaining = None
        if self.next_cycle_at is not None:
            remaining = round(max(0.0, self.next_cycle_at - time.monotonic()), 1)
        with self._lock:
            now = self._now()
            entries = [mapping_status(entry, now, with_names=with_names) for entry in self._mappings]
            said = [one.to_json() for one in conditions(self._mappings, self._waiting(), now)]
        status: dict[str, Any] = {
            "cycle": self.cycle,
            "next_cycle_in": remaining,
            "ready": self.ready,
            "last_complete": self.last_complete,
            "waiting_for": self.waiting_for,
            "role": "standby" if self.standby else "holder",
            "storage": self.storage,
            "notices": list(self.notices.values()),
            "free_bytes": self.free_bytes,
            "total_bytes": self.total_bytes,
            "floor_bytes": self.floor_bytes,
            "watcher_degraded": self.watcher_degraded,
            "clock_skew_seconds": self.clock_skew,
            "requests_today": self.requests.today if self.requests else None,
            "request_budget": self.requests.limit if self.requests else None,
            "conditions": said,
            "mappings": entries,
        }
        if self.standby and self.holder is not None:
            status |= {key: self.holder.get(key, []) for key in ("conditions", "mappings")}
        return status

    @property
    def ready(self) -> bool:
        """Whether this directory's last complete cycle is known, of this sidecar or of the lock's holder."""
        return self.last_complete is not None

    def pending(self, direction: Direction) -> tuple[int, int, float | None] | None:
        """Pending files, bytes and the oldest's time over all mappings of ``direction``; None until known."""
        with self._lock:
            entries = [entry.pending() for entry in self._mappings if entry.mapping.direction is direction]
        known = [entry for entry in entries if entry is not None]
        if not known or len(known) < len(entries):
            return None
        oldest = [entry[2] for entry in known if entry[2] is not None and entry[0]]
        return sum(entry[0] for entry in known), sum(entry[1] for entry in known), min(oldest, default=None)

    def _waiting(self) -> tuple[Because, str] | None:
        return None if self.waiting_for is None else (self.waits_because, self.waiting_for)

    def _entry(self, mapping: Mapping) -> MappingProgress:
        return next(entry for entry in self._mappings if entry.mapping == mapping)
