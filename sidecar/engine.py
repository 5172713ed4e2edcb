"""The engine: wakes every interval while this sidecar holds the directory, waits for it while another does.

One thread runs it. Cycles never overlap; the next starts an interval after the last began, or at
once when that one took longer. Nothing that a cycle meets ends the engine but a request to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from contract.conditions import Because
from contract.mapping import Direction, Mapping
from runtime.endpoints import Check
from runtime.logs import fields
from runtime.shutdown import Shutdown
from sidecar.budget import RequestBudget
from sidecar.errors import Misconfigured, SyncError
from sidecar.link import Link, OpenStore
from sidecar.mounted import Podinfo, StorageFiles
from sidecar.reporting.last_words import EXIT_REPORT, leave
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Progress, Result, Tally
from sidecar.settings import Settings
from sidecar.state import standby
from sidecar.state.ownership import Lock, OwnerRecord, open_state
from sidecar.syncer import Syncer

log = logging.getLogger(__name__)

STUCK: Final = 300.0  # seconds without any progress before /livez says so
STATE_INTERVAL: Final = 60.0  # seconds between two state files that say the same
STANDBY_POLL: Final = 1.0  # seconds between two tries for the lock

IN_SYNC, SOME_FAILED, MISCONFIGURED = 0, 1, 2


class Engine:
    """See the module. :meth:`run` is the daemon, :meth:`once` a single cycle; use one of them, once."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        metrics: Metrics,
        shutdown: Shutdown,
        open_store: OpenStore,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        budget: RequestBudget | None = None,
    ) -> None:
        self._budget = progress.requests = budget or RequestBudget()
        self._settings = settings
        self._progress = progress
        self._metrics = metrics
        self._shutdown = shutdown
        self._clock = clock
        self._now = now
        self._link = Link(StorageFiles(settings), settings.spec.credentials, open_store, progress, settings.state_dir)
        self._podinfo = Podinfo(settings)
        self._leaving: tuple[Mapping, ...] = ()  # egress mappings that were edited away, flushed once more
        self._lock = Lock(settings.state_dir)
        self._syncer: Syncer | None = None
        self._last_alive = clock()
        self._said: object = None  # what the state file says in short
        self._said_at = 0.0
        progress.set_mappings(self._podinfo.mappings)

    def livez(self) -> Check:
        """Whether the engine makes progress, whether or not the server can be reached."""
        idle = self._clock() - self._last_alive
        return Check(idle < STUCK, "ok" if idle < STUCK else f"no progress for {idle:.0f} s; restart me")

    def readyz(self) -> Check:
        """Whether this directory's last complete cycle is known."""
        if self._progress.ready:
            return Check(True, "ok")
        return Check(False, self._progress.waiting_for or "no complete cycle yet; /status says what is pending")

    def run(self) -> None:
        """Sync until a stop is asked for, then flush what is left."""
        while not self._shutdown.requested:
            started = self._clock()
            wait = STANDBY_POLL
            try:
                if self._take_over():
                    wait = self._settings.spec.interval
                    self._cycle()
            except SyncError as error:
                self._cannot(error)
            except Exception as error:
                self._progress.wait(Because.INTERNAL_ERROR, f"internal error: {type(error).__name__}")
                log.exception("cycle failed unexpectedly")
            self._progress.next_cycle_at = started + wait
            self._rest(started + wait)
        self._end()

    def once(self) -> int:
        """One full cycle: :data:`IN_SYNC`, :data:`SOME_FAILED` or :data:`MISCONFIGURED`."""
        try:
            if not self._take_over():
                log.error("another sidecar syncs this directory", **fields(directory=self._settings.export_dir))
                return SOME_FAILED
            return _exit_code(self._cycle(wait=True))
        except SyncError as error:
            self._cannot(error)
            return MISCONFIGURED if isinstance(error, Misconfigured) else SOME_FAILED
        finally:
            self._close()

    def _take_over(self) -> bool:
        """Whether this sidecar holds the directory; if not, believe what the holder says.

        Raises:
            SyncError: the directory cannot be used.
        """
        record = open_state(self._settings.state_dir, self._settings.spec.owner)
        held = self._lock.acquire()
        self._progress.lock_held = held
        self._progress.standby = not held
        if self._syncer is not None and not (held and self._syncer.stands_on(record)):
            self._let_go(self._syncer)
        if not held:
            self._believe_holder()
        elif self._syncer is None:
            self._believe_holder()
            self._syncer = self._hold(record)
        return held

    def _let_go(self, syncer: Syncer) -> None:
        """The volume was swapped, or someone tidied our own directory away: what was known of it is void."""
        log.warning("the directory is not the one it was; looking afresh", **fields(path=self._settings.export_dir))
        self._syncer = None
        self._progress.last_complete = None
        syncer.close()

    def _hold(self, record: OwnerRecord) -> Syncer:
        log.info("this sidecar syncs the directory", **fields(directory=self._settings.export_dir))
        return Syncer(
            self._settings,
            record,
            self._link,
            self._progress,
            self._metrics,
            self._shutdown,
            self._alive,
            self._clock,
            self._now,
            self._budget,
        )

    def _believe_holder(self) -> None:
        said = standby.read(self._settings.state_dir)
        if said is not None and said.mappings == standby.identity(self._podinfo.mappings):
            self._progress.last_complete = self._progress.last_complete or said.last_complete
            self._progress.holder = said.status

    def _cycle(self, *, wait: bool = False) -> list[Tally] | None:
        """Every mapping once, and its large files where it is to ``wait``; None where the storage is not known yet."""
        assert self._syncer is not None  # whoever holds the lock has one
        self._progress.cycle += 1
        self._alive()
        self._reload_mappings()
        self._link.refresh()
        if self._link.store is None:
            return None
        tallies = self._syncer.cycle(self._leaving + self._podinfo.mappings, wait=wait)
        if all(tally.complete for tally in tallies):
            self._progress.last_complete = self._now()
            self._leaving = ()
        # Written when there is something new to say, or once in a while: a device's flash wears out.
        news = [(tally.result, tally.complete, tally.transferred, tally.pending_files) for tally in tallies]
        if news != self._said or self._clock() - self._said_at >= STATE_INTERVAL:
            self._said, self._said_at = news, self._clock()
            with suppress(SyncError):  # a full disk must not stop the next cycle; the old statement stays true
                self._state()
        return tallies

    def _state(self) -> None:
        status = self._progress.status(with_names=False)
        mappings = standby.identity(self._podinfo.mappings)
        standby.write(self._settings.state_dir, standby.Statement(self._progress.last_complete, mappings, status))

    def _reload_mappings(self) -> None:
        before = self._podinfo.mappings
        if self._podinfo.refresh():
            now = self._podinfo.mappings
            # Other options of the same place are no leaving: the old ones must not send what they let through.
            gone = (mapping for mapping in before if not any(mapping.same_place(other) for other in now))
            self._leaving += tuple(
                replace(mapping, delete=False, delete_limit=None)
                for mapping in gone
                if mapping.direction is Direction.EGRESS
            )
            self._progress.last_complete = None
            log.info("mappings changed", **fields(mappings=[mapping.to_json() for mapping in now]))
        if self._podinfo.fault and self._progress.notices.get("mappings") != self._podinfo.fault:
            log.error("mappings not taken over", **fields(error=self._podinfo.fault))
        self._progress.notices = {"mappings": self._podinfo.fault} if self._podinfo.fault else {}
        self._progress.set_mappings(self._leaving + self._podinfo.mappings)

    def _cannot(self, error: SyncError) -> None:
        if self._progress.waiting_for != str(error):
            log.error("directory cannot be synced", **fields(reason=error.reason, error=str(error)))
        self._progress.wait(Because.DIRECTORY_UNUSABLE, str(error))

    def _rest(self, until: float) -> None:
        while (left := until - self._clock()) > 0 and not self._shutdown.wait(min(left, STUCK / 10)):
            self._alive()

    def _end(self) -> None:
        """Send what is left while time allows, and say by name what is not sent."""
        if self._syncer is None or self._link.store is None:
            self._begin_late()
        if self._syncer is not None and self._link.store is not None:
            log.info("stopping", **fields(seconds_left=round(self._shutdown.remaining(), 1)))
            with suppress(SyncError):
                self._report(self._syncer.flush(self._leaving + self._podinfo.mappings))
                self._state()
        elif self._syncer is not None and self._podinfo.mappings:
            with suppress(SyncError):
                self._report_unsendable(*self._syncer.files_to_send(self._podinfo.mappings))
        self._close()

    def _begin_late(self) -> None:
        """A stop before the first cycle, or before the storage was known: what is there is sent all the same."""
        try:
            if self._take_over():
                self._reload_mappings()
                self._link.refresh()
        except SyncError as error:
            self._cannot(error)

    def _report(self, tallies: list[Tally]) -> None:
        files = sum(tally.pending_files for tally in tallies)
        errors = [str(tally.error) for tally in tallies if tally.error is not None]
        if not files and not errors:
            log.info("everything is sent", **fields(files=sum(tally.transferred for tally in tallies)))
            leave({"note": "everything is sent", "pending_files": 0}, EXIT_REPORT)
            return
        names = [failure["name"] for tally in tallies for failure in tally.failures]
        report: dict[str, Any] = {
            "note": "not sent; the next sidecar on this directory sends it",
            "pending_files": files,
            "pending_bytes": sum(tally.pending_bytes for tally in tallies),
            "errors": errors,
            "names": names,
        }
        log.error("stopped with unsent files", **fields(**report))
        leave(report, EXIT_REPORT)

    def _report_unsendable(self, files: int, size: int, names: list[str]) -> None:
        report = {
            "note": "there was no storage to send to; the next sidecar on this directory sends what it has not",
            "waiting_for": self._progress.waiting_for,
            "pending_files": files,
            "pending_bytes": size,
            "names": names,
        }
        log.error("stopped without a storage", **fields(**report))
        leave(report, EXIT_REPORT)

    def _close(self) -> None:
        if self._syncer is not None:
            self._syncer.close()
        self._link.close()
        self._lock.release()

    def _alive(self) -> None:
        self._last_alive = self._clock()


def _exit_code(tallies: list[Tally] | None) -> int:
    if tallies is None or any(tally.misconfigured for tally in tallies):
        return MISCONFIGURED
    in_sync = all(tally.result is Result.OK and not tally.pending_files for tally in tallies)
    return IN_SYNC if in_sync else SOME_FAILED
