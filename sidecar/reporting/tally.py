"""Counts of one pass over one mapping, and one mapping's state across passes.

Plain records: the engine's thread writes them, :class:`~sidecar.reporting.progress.Progress` keeps them and
``sidecar/reporting/status.py`` tells of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contract.mapping import Mapping
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
    removed: int = 0  # files or objects, by ``delete: true``
    pending_files: int = 0
    pending_bytes: int = 0
    under_way: int = 0  # files that go on beside the cycles, or wait for the next
    oldest: float | None = None  # of what was planned; seconds since the epoch
    oldest_left: float | None = None  # of what was tried and still waits
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
        self._leave(action.since)

    def drop(self, action: Action) -> None:
        """There is nothing to do for ``action`` after all."""
        self.planned -= 1
        self.pending_files -= 1
        self.pending_bytes -= action.size

    def fail(self, name: str, error: SyncError, since: float | None = None) -> None:
        """The file ``name``, which waits ``since`` then, could not go now."""
        if since is not None:
            self._leave(since)
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

    def _leave(self, since: float) -> None:
        self.oldest_left = since if self.oldest_left is None else min(self.oldest_left, since)

    def close(self) -> None:
        """The pass is over: what went no longer counts as the oldest that waits."""
        if not self.pending_files:
            self.oldest = None
        elif not self.under_way:  # else one of those may be the oldest
            self.oldest = self.oldest_left

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
        harmless = {NoRoom.reason, Quarantined.reason, "missing_source", "delete_held"}
        return self.error is None and not self.under_way and set(self.reasons) <= harmless


@dataclass(slots=True)
class MappingProgress:
    """One mapping across cycles: its last finished pass, and the one under way."""

    mapping: Mapping
    last: Tally | None = None
    now: Tally | None = None
    last_success: float | None = None  # seconds since the epoch
    last_transfer: float | None = None  # when a pass that moved a body ended

    def pending(self) -> tuple[int, int, float | None] | None:
        """Files, bytes, and since when the oldest waits; None until a pass has looked."""
        if self.now is None:
            return (self.last.pending_files, self.last.pending_bytes, self.last.oldest) if self.last else None
        live, before = self.now, self.last
        if before is None or live.pending_files >= before.pending_files:
            return live.pending_files, live.pending_bytes, live.oldest
        # The pass has not come across what failed last time yet: it is still pending.
        return before.pending_files, before.pending_bytes, before.oldest
