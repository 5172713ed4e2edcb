"""Syncs a directory that this process holds: all mappings once in a cycle, egress before ingress.

It owns what lives as long as the lock is held: the index, the workers, what was learned about
contended keys and restless files. When to run, and whether, is the engine's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Final

from contract.mapping import Direction, Mapping
from contract.storage import Storage
from runtime.logs import fields
from runtime.shutdown import Shutdown
from sidecar.budget import RequestBudget
from sidecar.errors import SyncError
from sidecar.limits import Bandwidth, Memory, Space
from sidecar.link import Link
from sidecar.local.directories import Root
from sidecar.local.scan import walk
from sidecar.local.staging import Staging
from sidecar.loop import pausing
from sidecar.mapping_pass import Pass, Tools, ingress_size
from sidecar.plan import Action
from sidecar.reporting.cycle_line import log_cycle
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import LISTED, Progress, Result, Tally
from sidecar.selection.attention import Attention, Named, Reconciliation
from sidecar.selection.filtering import Filter, Filters
from sidecar.selection.patience import Patience
from sidecar.selection.precedence import in_windows, small_and_oldest_first
from sidecar.selection.settling import Settling
from sidecar.selection.watches import Watches
from sidecar.settings import Settings
from sidecar.state.database import IndexBroken
from sidecar.state.index import Index, Scope
from sidecar.state.ownership import OwnerRecord
from sidecar.transfer.bench import Bench, Contention, Stopping
from sidecar.transfer.lane import Lane
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Fetched, Publisher
from sidecar.transfer.turns import SHARE, Turn
from sidecar.transfer.upkeep import Upkeep

log = logging.getLogger(__name__)

BODIES: Final = 48 * 2**20  # bytes of files held in memory at once
SORTED_FLUSH: Final = 100_000  # files that the last flush sorts by size; any more go as they come
STOP_MARGIN: Final = 2.0  # seconds of the grace period kept for writing down what is left


class Syncer:
    """See the module. The engine's thread alone uses it.

    Raises:
        SyncError: at construction, the directory or its index cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        record: OwnerRecord,
        link: Link,
        progress: Progress,
        metrics: Metrics,
        shutdown: Shutdown,
        alive: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        budget: RequestBudget | None = None,
    ) -> None:
        self._budget = budget or RequestBudget()
        self._settings = settings
        self._record = record
        self._link = link
        self._progress = progress
        self._metrics = metrics
        self._shutdown = shutdown
        self._alive = alive
        self._clock = clock
        self._now = now
        self._flushing = False
        self._space = Space(settings.export_dir, settings.floor, settings.ingress_max_bytes)
        self._memory = Memory(BODIES)
        self._bandwidth = Bandwidth(settings.bandwidth, pausing(shutdown.wait), clock)
        self._reconciliation = Reconciliation(settings.reconcile_interval, clock)
        self._contention = Contention(clock)
        self._patience = Patience(clock)
        self._settling = Settling(clock)
        self._named = Named()
        self._watches = Watches(settings.export_dir, settings.rescan_interval, clock)
        self._filters = Filters()
        self._attention: dict[Mapping, Attention] = {}
        self._attended: Storage | None = None  # the storage that the attention is about
        self._index = Index(f"{settings.state_dir}/index")
        self._paces = {direction: Pace() for direction in Direction}
        self._lane = Lane(self._own_bench)
        self._sharing = False  # whether ingress waits for egress to end
        self._upkeep = Upkeep(self._index)

    def stands_on(self, record: OwnerRecord) -> bool:
        """Whether this is still the directory, and the index, that it was made for."""
        return record == self._record and self._index.in_place

    def close(self) -> None:
        """Let go of what lives as long as the lock is held."""
        self._budget.end_cycle(closing=True)
        self._watches.close()
        self._lane.close()
        self._index.close()

    def cycle(self, mappings: Iterable[Mapping], *, wait: bool = False) -> list[Tally]:
        """Sync every one of ``mappings`` once; the tallies say what came of each. The link must be up.

        ``wait``: it ends only when large files have ended too.

        Raises:
            SyncError: the exported directory itself cannot be used.
        """
        chosen = list(mappings)
        self._budget.begin_cycle()
        if self._link.storage != self._attended and any(kept.denied for kept in self._attention.values()):
            self._reconciliation = Reconciliation(self._settings.reconcile_interval, self._clock)  # other keys may list
        self._watches.keep(chosen)
        self._filters.keep(chosen)
        self._attention = {mapping: kept for mapping, kept in self._attention.items() if mapping in chosen}
        self._progress.free_bytes, self._progress.total_bytes, self._progress.floor_bytes = self._space.look()
        with Root(self._settings.export_dir) as root, closing(self._upkeep.staging(root)) as staging:
            publisher = Publisher(root, staging, self._index, self._stamp)
            ingress = [mapping for mapping in chosen if mapping.direction is Direction.INGRESS]
            # Before anything is replaced: what is replaced now is kept until the cycle after next.
            self._tidy(staging, publisher, cycle_of_ingress=bool(ingress))
            if ingress and self._space.has_ceiling:
                self._space.set_used(ingress_size(root, ingress))
            self._sharing = bool(ingress) and not wait
            tallies = []
            for direction in Direction:
                some = [mapping for mapping in chosen if mapping.direction is direction]
                if some:
                    tallies += self._direction(direction, some, root, staging, publisher, wait=wait)
            for stray in self._lane.strays(self._scope(mapping) for mapping in chosen):
                if isinstance(stray.outcome, Fetched):
                    publisher.discard(stray.outcome)
                    self._space.release(stray.action.size, kept=False)
        self._attended = self._link.storage
        self._budget.end_cycle()
        self._progress.watcher_degraded = self._watches.degraded
        return tallies

    def flush(self, mappings: Iterable[Mapping]) -> list[Tally]:
        """The last pass before the end: egress only, smallest and oldest first, as long as time is left.

        Raises:
            SyncError: the exported directory itself cannot be used.
        """
        self._flushing = True
        return self.cycle(mapping for mapping in mappings if mapping.direction is Direction.EGRESS)

    def files_to_send(self, mappings: Iterable[Mapping]) -> tuple[int, int, list[str]]:
        """Files and bytes below the sources of egress, and the first of their names: for want of a storage, all.

        Raises:
            SyncError: the exported directory cannot be used.
        """
        files, size, names = 0, 0, list[str]()
        with Root(self._settings.export_dir) as root:
            for mapping in mappings:
                if mapping.direction is not Direction.EGRESS:
                    continue
                filter_, _ = self._filters.refresh(root, mapping)
                for entry in walk(root, mapping.directory, lambda _: None, filter_.kept):
                    files, size = files + 1, size + entry.fingerprint.size
                    if len(names) < LISTED:
                        names.append(entry.path if mapping.directory == "." else f"{mapping.directory}/{entry.path}")
        return files, size, names

    def _direction(
        self,
        direction: Direction,
        mappings: list[Mapping],
        root: Root,
        staging: Staging,
        publisher: Publisher,
        *,
        wait: bool,
    ) -> list[Tally]:
        started = self._clock()
        tallies = [self._pass(mapping, root, staging, publisher, wait=wait) for mapping in mappings]
        results = {tally.result for tally in tallies}
        result = next(result for result in (Result.FAILED, Result.PARTIAL, Result.OK) if result in results)
        seconds = self._clock() - started
        self._metrics.cycles.labels(direction.value, result.value).inc()
        self._metrics.cycle_seconds.labels(direction.value).observe(seconds)
        log_cycle(direction, self._progress.cycle, result, tallies, seconds)
        return tallies

    def _pass(self, mapping: Mapping, root: Root, staging: Staging, publisher: Publisher, *, wait: bool) -> Tally:
        store, storage = self._link.store, self._link.storage
        assert store is not None  # the engine runs no cycle without a link
        assert storage is not None
        attention = self._attention.setdefault(mapping, Attention(self._settings.rescan_interval, self._clock))
        if mapping.direction is Direction.INGRESS and self._upkeep.barrier is not None:
            return self._not_begun(mapping, self._upkeep.barrier)
        try:
            filter_ = self._filter(mapping, root)
        except SyncError as error:
            return self._not_begun(mapping, error)
        hints = self._watches.take(mapping, filter_.skips)
        if storage != self._attended:
            attention.another_bucket()
        elif self._flushing:
            attention.distrust()  # the last word is the walk's
        tools = Tools(
            store=store,
            index=self._index,
            ordering=self._link.ordering,
            reconciliation=self._reconciliation,
            patience=self._patience,
            budget=self._budget,
            settling=None if self._flushing else self._settling,
            named=self._named,
            attention=attention,
            filter=filter_,
            hints=hints,
            metrics=self._metrics,
            pace=self._paces[mapping.direction],
            lane=self._lane,
            turn=self._turn(mapping.direction),
            wait=wait or self._flushing,
        )
        bench = Bench(
            root=root,
            mapping=mapping,
            store=store,
            staging=staging,
            space=self._space,
            memory=self._memory,
            writer=self._record.id,
            contention=self._contention,
            now=self._now,
            stamp=self._stamp,
            alive=self._alive,
            beat=self._beat,
            throttle=self._bandwidth.take,
            may_wait=lambda path: not self._patience.lost_with(path),
        )
        tally = self._progress.begin(mapping)
        Pass(tools, bench, publisher, self._scope(mapping), tally).run(self._select)
        if self._shutdown.requested and not self._flushing and tally.error is None:
            tally.end_early(Stopping("sync", mapping.directory, "interrupted by the stop"))
        self._progress.end(mapping)
        if isinstance(tally.error, IndexBroken):
            self._start_index_afresh(tally.error)
        return tally

    def _scope(self, mapping: Mapping) -> Scope:
        storage = self._link.storage
        assert storage is not None  # as above
        return Scope(storage.endpoint, storage.bucket, mapping, self._record.id)

    @contextmanager
    def _own_bench(self, bench: Bench) -> Iterator[Bench]:
        with Root(self._settings.export_dir) as root, closing(self._upkeep.staging(root)) as staging:
            yield replace(bench, root=root, staging=staging)

    def _turn(self, direction: Direction) -> Turn:
        shares = self._sharing and direction is Direction.EGRESS and not self._flushing
        return Turn(max(SHARE, self._settings.spec.interval) if shares else None, self._clock)

    def _filter(self, mapping: Mapping, root: Root) -> Filter:
        filter_, changed = self._filters.refresh(root, mapping)
        if changed:
            log.info("ignore file changed", **fields(directory=mapping.directory))
            self._watches.forget(mapping)  # and what is watched anew is walked first
        return filter_

    def _not_begun(self, mapping: Mapping, error: SyncError) -> Tally:
        tally = self._progress.begin(mapping)
        tally.end_early(error)
        self._metrics.errors.labels(mapping.direction.value, error.reason).inc()
        self._progress.end(mapping)
        return tally

    def _tidy(self, staging: Staging, publisher: Publisher, *, cycle_of_ingress: bool) -> None:
        try:
            self._upkeep.tidy(staging, publisher, cycle_of_ingress=cycle_of_ingress)
        except IndexBroken as error:
            self._start_index_afresh(error)
            with suppress(IndexBroken):  # the barrier stands then
                self._upkeep.tidy(staging, publisher, cycle_of_ingress=cycle_of_ingress)

    def _start_index_afresh(self, error: IndexBroken) -> None:
        self._upkeep.index_lost(error)
        self._index.start_afresh(error)
        self._attention.clear()
        self._reconciliation = Reconciliation(self._settings.reconcile_interval, self._clock)

    def _select(self, actions: Iterator[Action]) -> Iterable[Action]:
        if self._flushing:
            return small_and_oldest_first(actions, SORTED_FLUSH)
        if self._budget.limit is not None:
            return self._until_stop(small_and_oldest_first(actions, SORTED_FLUSH))
        return self._until_stop(in_windows(actions, time.monotonic))

    def _until_stop(self, actions: Iterator[Action]) -> Iterator[Action]:
        for action in actions:
            if self._shutdown.requested:
                return  # the flush that follows decides anew
            yield action

    def _beat(self) -> None:
        """Called from within transfers: shows progress, and ends what must not go on."""
        self._alive()
        if not self._shutdown.requested:
            return
        if self._shutdown.remaining() < STOP_MARGIN:
            raise Stopping("sync", self._settings.export_dir, "the grace period is over")

    def _stamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
