"""What is known at this moment: for ``/status``, ``/readyz`` and the gauges.

The engine's thread writes, the listener's threads read; one lock, short holds, bounded memory. A
number is None until it is first known, never a false 0.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from contract.mapping import Direction, Mapping
from sidecar.errors import Misconfigured, NoRoom, Quarantined, SyncError
from sidecar.plan import Action

LISTED: Final = 100  # names in one list on /status


class Result(StrEnum):
    """How a pass over one mapping ended."""

    OK = "ok"
    PARTIAL = "partial"  # some files could not go
    FAILED = "failed"  # nothing could go, or the other side could not be listed


@dataclass(slots=True)
class Tally:
    """Counts of one pass over one mapping. The engine's thread alone writes it."""

    planned: int = 0
    done: int = 0
    transferred: int = 0
    moved_bytes: int = 0
    pending_files: int = 0
    pending_bytes: int = 0
    oldest: float | None = None  # seconds since the epoch
    limited: bool = False
    indexed: int = 0
    ingress_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    quarantined_files: int = 0
    quarantined: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    error: SyncError | None = None  # ended the pass early
    skipped: int = 0
    misconfigured: bool = False  # someone must change something before this can work

    def plan(self, action: Action) -> None:
        """``action`` waits to be done."""
        self.planned += 1
        self.pending_files += 1
        self.pending_bytes += action.size
        self.oldest = action.since if self.oldest is None else min(self.oldest, action.since)

    def finish(self, action: Action, moved: int | None) -> None:
        """``action`` is done; ``moved`` is None when no body had to go."""
        self.done += 1
        self.pending_files -= 1
        self.pending_bytes -= action.size
        if moved is not None:
            self.transferred += 1
            self.moved_bytes += moved

    def leave_pending(self, action: Action) -> None:
        """``action`` went, but as a snapshot of a file being written: it must go again."""
        self.pending_files += 1
        self.pending_bytes += action.size

    def drop(self, action: Action) -> None:
        """There is nothing to do for ``action`` after all."""
        self.planned -= 1
        self.pending_files -= 1
        self.pending_bytes -= action.size

    def fail(self, name: str, error: SyncError) -> None:
        """The file ``name`` could not go now."""
        self.reasons[error.reason] += 1
        self.misconfigured = self.misconfigured or isinstance(error, Misconfigured)
        if isinstance(error, NoRoom):
            self.limited = True
        if isinstance(error, Quarantined):
            self.quarantine(name, str(error))
        elif len(self.failures) < LISTED:
            self.failures.append({"name": name, "reason": error.reason, "error": str(error)})

    def notice(self, name: str, reason: str, detail: str, *, pending: bool) -> None:
        """The walk passed ``name`` over; ``pending`` when it is data that should have gone."""
        self.reasons[reason] += 1
        self.pending_files += pending
        if len(self.failures) < LISTED:
            self.failures.append({"name": name, "reason": reason, "error": f"{name}: {detail}"})

    def reset(self) -> None:
        """Start counting afresh."""
        self.__init__()  # type: ignore[misc]

    def quarantine(self, name: str, why: str) -> None:
        """``name`` can never go."""
        self.quarantined_files += 1
        if len(self.quarantined) < LISTED:
            self.quarantined.append(f"{name}: {why}")

    def end_early(self, error: SyncError) -> None:
        """``error`` concerns the whole pass: not everything was looked at, or nothing can go."""
        self.error = error
        self.misconfigured = self.misconfigured or isinstance(error, Misconfigured)

    @property
    def result(self) -> Result:
        """How the pass ended, or stands."""
        if self.error is not None:
            return Result.FAILED
        return Result.PARTIAL if self.reasons else Result.OK

    @property
    def complete(self) -> bool:
        """Listed, and every file sent or fetched, limited or quarantined: what readiness asks for."""
        harmless = {NoRoom.reason, Quarantined.reason, "missing_source"}
        return self.error is None and set(self.reasons) <= harmless


@dataclass(slots=True)
class MappingProgress:
    """One mapping across cycles: its last finished pass, and the one under way."""

    mapping: Mapping
    last: Tally | None = None
    now: Tally | None = None
    last_success: float | None = None  # seconds since the epoch
    last_error: str | None = None

    def pending(self) -> tuple[int, int, float | None] | None:
        """Files, bytes, and since when the oldest waits; None until a pass has looked."""
        if self.now is None:
            return (self.last.pending_files, self.last.pending_bytes, self.last.oldest) if self.last else None
        live, before = self.now, self.last
        if before is None or live.pending_files >= before.pending_files:
            return live.pending_files, live.pending_bytes, live.oldest
        # The pass has not come across what failed last time yet: it is still pending.
        return before.pending_files, before.pending_bytes, before.oldest


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
        self.storage: dict[str, str] = {}
        self.notices: dict[str, str] = {}
        self.standby = False
        self.lock_held: bool | None = None
        self.free_bytes: int | None = None
        self.watcher_degraded: bool | None = None
        self.holder: dict[str, Any] | None = None  # what the holder of the lock last said

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
            if not tally.pending_files:
                tally.oldest = None
            entry.last = tally
            if tally.complete:
                entry.last_success = self._now()
            entry.last_error = _last_error(tally)

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
            entries = [_mapping_status(entry, self._now(), with_names=with_names) for entry in self._mappings]
        return {
            "cycle": self.cycle,
            "next_cycle_in": remaining,
            "ready": self.ready,
            "last_complete": self.last_complete,
            "waiting_for": self.waiting_for,
            "role": "standby" if self.standby else "holder",
            "storage": self.storage,
            "notices": list(self.notices.values()),
            "free_bytes": self.free_bytes,
            "mappings": entries if not self.standby or self.holder is None else self.holder.get("mappings", []),
        }

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

    def _entry(self, mapping: Mapping) -> MappingProgress:
        return next(entry for entry in self._mappings if entry.mapping == mapping)


def _last_error(tally: Tally) -> str | None:
    if tally.error is not None:
        return str(tally.error)
    if tally.failures:
        return tally.failures[-1]["error"]
    return None


def _mapping_status(entry: MappingProgress, now: float, *, with_names: bool) -> dict[str, Any]:
    tally = entry.last
    pending = entry.pending()
    status: dict[str, Any] = {
        "direction": entry.mapping.direction.value,
        "source": entry.mapping.source,
        "target": entry.mapping.target,
        "state": "waiting" if tally is None and entry.now is None else (tally or entry.now).result.value,  # type: ignore[union-attr]
        "syncing": entry.now is not None,
        "last_success": entry.last_success,
        "pending_files": pending[0] if pending else None,
        "pending_bytes": pending[1] if pending else None,
        "oldest_pending_age_seconds": round(now - pending[2], 1) if pending and pending[0] and pending[2] else None,
        "indexed_files": tally.indexed if tally else None,
        "skipped_files": tally.skipped if tally else None,
        "errors": dict(tally.reasons) if tally else {},
        "limited": tally.limited if tally else False,
        "quarantined_files": tally.quarantined_files if tally else None,
        "last_error": None,
    }
    if tally is not None and (tally.error or tally.failures):
        reason = tally.error.reason if tally.error else tally.failures[-1]["reason"]
        # The error of a whole mapping names no file; that of one file does.
        status["last_error"] = entry.last_error if with_names or tally.error else reason
        status["last_error_reason"] = reason
    if with_names:
        status["failures"] = tally.failures if tally else []
        status["quarantined"] = tally.quarantined if tally else []
    return status
