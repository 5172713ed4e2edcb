"""Both sides of one mapping in one pass, as the ascending streams that the planner merges.

What is passed over is counted and named here; what to do about what is seen is ``plan``'s. Whether the
whole tree is walked, or only what the watcher named, is decided by ``mapping_pass``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from contract.globs import parents
from contract.mapping import Direction
from contract.names import OWN_DIR
from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.local.notices import Notice, Passed
from sidecar.local.scan import walk_runs
from sidecar.local.visit import visit
from sidecar.local.watch import Hints
from sidecar.plan import RemoteFile
from sidecar.remote.keys import Collisions, listing_prefix, path_for
from sidecar.remote.order import Ordering
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Tally
from sidecar.selection.attention import Attention, Named
from sidecar.selection.filtering import Filter
from sidecar.skim import Take
from sidecar.state.index import Index
from sidecar.transfer.bench import Bench
from sidecar.tree import Agreed, Fingerprint, LocalEntry, NameFault, Outline, RelativePath, RemoteEntry, entry_of

log = logging.getLogger(__name__)

# Passed over by the walk, yet data that does not reach the bucket: counted as pending.
_PENDING: Final = frozenset({Passed.NOT_UTF8, Passed.TOO_LONG, Passed.UNREADABLE})
# Where one of these was met, what was not seen may be there all the same.
_BLIND: Final = frozenset({Passed.UNREADABLE, Passed.MISSING})


@dataclass(slots=True)
class Seen:
    """How much of either side a pass has seen; what is not seen is never taken for removed."""

    files: int = 0  # on the device, by a walk
    objects: int = 0  # in a listing
    rows: int = 0  # of the index
    blind: bool = False  # some directory could not be looked into
    walked: bool = False  # to the end
    listed: bool = False  # to the end


class Sides:
    """See the module. For one pass."""

    def __init__(
        self,
        bench: Bench,
        index: Index,
        ordering: Ordering,
        filter_: Filter,
        attention: Attention,
        hints: Hints,
        named: Named,
        metrics: Metrics,
        tally: Tally,
    ) -> None:
        self._bench = bench
        self._index = index
        self._ordering = ordering
        self._filter = filter_
        self._attention = attention
        self._hints = hints
        self._named = named
        self._metrics = metrics
        self._tally = tally
        self._mapping = bench.mapping
        self._ingress = bench.mapping.direction is Direction.INGRESS
        self.seen = Seen()

    def walk(self) -> Iterator[LocalEntry]:
        """The whole tree."""
        for run in self.runs():
            yield from map(entry_of, run)

    def runs(self) -> Iterator[list[Outline]]:
        """The whole tree, in outline."""
        self._attention.begin_walk()
        for run in walk_runs(self._bench.root, self._mapping.directory, self._noticed, self._filter.kept):
            self.seen.files += len(run)
            if self._ingress:
                self._tally.ingress_bytes += sum(map(itemgetter(1), run))
            yield run
        self.seen.walked = True

    def counted(self, take: Take[Outline]) -> Take[Outline]:
        """The index in outline during a walk."""

        def counting(count: int) -> list[Outline]:
            rows = take(count)
            self.seen.rows += len(rows)
            self._tally.indexed += len(rows)
            return rows

        return counting

    def rows(self, number: int) -> Iterator[Agreed]:
        """The index during a walk: counted, and noted what must be compared later."""
        now = self._bench.now()
        for row in self.known(number):
            self._tally.indexed += 1
            if row.recheck_at > now:
                self._attention.recheck(row.path, row.recheck_at)
            yield row

    def known(self, number: int) -> Iterator[Agreed]:
        """The index without a walk."""
        for row in self._index.rows(number):
            self.seen.rows += 1
            yield row

    def changed(self, number: int) -> Iterator[tuple[LocalEntry, Agreed | None]]:
        """What the watcher named and what needs another look, beside its row."""
        hints, filter_ = self._hints, self._filter
        names = hints.files | self._attention.take(self._bench.now())
        wanted = {name for name in names if not filter_.passes_over(name)}
        root, directory = self._bench.root, self._mapping.directory
        for entry in visit(root, directory, wanted, hints.directories, self._noticed, filter_.kept):
            yield entry, self._index.get(number, entry.path)

    def carry_on(self) -> None:
        """No walk in this pass: what the last one counted and named still stands."""
        attention, tally = self._attention, self._tally
        if attention.held_back is not None and not self._ingress:
            tally.fail(self._mapping.directory, attention.held_back)
        for notice in attention.standing(self._hints):
            tally.notice(notice.name, notice.why.value, notice.detail, pending=notice.why in _PENDING)
        tally.skipped, tally.indexed, tally.ingress_bytes = (
            attention.skipped,
            attention.indexed,
            attention.ingress_bytes,
        )

    def touched(self) -> Callable[[RelativePath], bool]:
        """Whether a file of ingress may differ from what was agreed."""
        directories = self._hints.directories
        files = self._hints.files | self._attention.take(self._bench.now())

        def touched(path: RelativePath) -> bool:
            if path in files:
                return True
            return bool(directories) and any(parent in directories for parent in parents(path))

        return touched

    def look(self, path: RelativePath) -> Fingerprint | None:
        """The file as it is now."""
        try:
            return self._bench.root.look(self._bench.path(path))
        except SyncError:
            return None  # something bars the way: the download that is planned then meets it and says so

    def listing(self) -> Iterator[RemoteFile]:
        """The bucket's side; names that cannot be paths are quarantined, what is filtered left out."""
        prefix = self._mapping.prefix
        entries = self._bench.store.list(listing_prefix(prefix))
        collisions = Collisions()
        for entry in self._ordering.in_order(prefix, iter(entries)):
            self.seen.objects += 1
            path = path_for(prefix, entry)
            if path is not None and not isinstance(path, NameFault):
                forbidden = self._forbidden(entry, self._bench.path(path))
                if forbidden is None and self._filter.passes_over(path):
                    continue
                path = forbidden or collisions.check(path) or path
            if isinstance(path, NameFault):
                self._quarantined(path)
            elif path is not None:
                yield RemoteFile(path, entry.size, entry.etag, entry.modified)
        self.seen.listed = True

    def _forbidden(self, entry: RemoteEntry, path: str) -> NameFault | None:
        if path.split("/", 1)[0] == OWN_DIR:
            return NameFault(entry.key, f"{OWN_DIR} is data-sync's own directory")
        return None

    def _quarantined(self, fault: NameFault) -> None:
        if self._ingress:
            self._tally.reasons["quarantined"] += 1
            self._tally.quarantine(fault.name, fault.why)
            self._count("quarantined")

    def _noticed(self, notice: Notice) -> None:
        if self._ingress and notice.why in (Passed.MISSING, Passed.SPECIAL):
            return
        self.seen.blind = self.seen.blind or notice.why in _BLIND
        if self._named.first_time(notice.name):
            log.warning("passed over", **fields(path=notice.name, reason=notice.why.value, detail=notice.detail))
        if notice.why is Passed.SPECIAL:
            self._tally.skipped += 1  # links, FIFOs, devices are never synced: no error, and nothing pending
            return
        self._attention.stands(notice)
        self._count(notice.why.value)
        self._tally.notice(notice.name, notice.why.value, notice.detail, pending=notice.why in _PENDING)

    def _count(self, reason: str) -> None:
        self._metrics.errors.labels(self._mapping.direction.value, reason).inc()
