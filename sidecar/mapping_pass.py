"""One mapping, one pass: look at both sides, plan, apply, and count what came of it.

A pass never raises: whatever ended it early is in its tally. What lives longer than a pass (index,
store, lock) is handed in by the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeVar

from contract.mapping import Direction, Mapping
from contract.names import OWN_DIR
from contract.paths import contains
from runtime.logs import fields
from sidecar.attention import Attention, Named, Reconciliation
from sidecar.bench import Bench
from sidecar.errors import AccessDenied, SyncError
from sidecar.index import Index, Scope
from sidecar.local.directories import Root
from sidecar.local.scan import Notice, Passed, visit, walk
from sidecar.local.watch import Hints
from sidecar.metrics import Metrics
from sidecar.patience import Patience
from sidecar.plan import Action, RemoteFile, plan_egress, plan_egress_of, plan_ingress, plan_ingress_of
from sidecar.progress import Tally
from sidecar.publish import Publisher, is_conflict_copy
from sidecar.recorder import Recorder
from sidecar.remote.keys import Collisions, listing_prefix, path_for
from sidecar.remote.order import ListingOutOfOrder, Ordering
from sidecar.remote.store import ObjectStore
from sidecar.transfer import Internal, Transfer
from sidecar.tree import Agreed, Fingerprint, LocalEntry, NameFault, RelativePath, RemoteEntry

log = logging.getLogger(__name__)

T = TypeVar("T")

# Passed over by the walk, yet data that does not reach the bucket: counted as pending.
_PENDING: Final = frozenset({Passed.NOT_UTF8, Passed.TOO_LONG, Passed.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Tools:
    """What passes share: long-lived parts of the engine, for one store."""

    store: ObjectStore
    index: Index
    ordering: Ordering
    reconciliation: Reconciliation
    patience: Patience
    named: Named
    attention: Attention
    hints: Hints  # what the watcher saw since this mapping's last pass
    metrics: Metrics
    executor: Executor
    in_flight: int


class Pass:
    """One pass over one mapping."""

    def __init__(self, tools: Tools, bench: Bench, publisher: Publisher, scope: Scope, tally: Tally) -> None:
        self._tools = tools
        self._bench = bench
        self._publisher = publisher
        self._mapping = bench.mapping
        self._scope = scope
        self._tally = tally

    def run(self, select: Callable[[Iterator[Action]], Iterable[Action]] = lambda actions: actions) -> None:
        """Sync the mapping. ``select`` may reorder or cut short what was planned."""
        try:
            number = self._tools.index.scope(self._scope)
            plan = self._egress if self._mapping.direction is Direction.EGRESS else self._ingress
            try:
                self._transfer(number, select(plan(number)))
            except ListingOutOfOrder:
                self._start_over()
                self._transfer(number, select(plan(number)))
        except SyncError as error:
            self._failed(error)
        except Exception as error:
            log.exception("a pass failed unexpectedly", **fields(mapping=str(self._mapping)))
            self._failed(Internal("sync", self._mapping.directory, type(error).__name__))
        finally:
            self._remember()

    def _remember(self) -> None:
        """What the next pass builds on; after a pass that broke off it walks, since hints are lost."""
        attention, tally = self._tools.attention, self._tally
        attention.skipped, attention.indexed, attention.ingress_bytes = (
            tally.skipped,
            tally.indexed,
            tally.ingress_bytes,
        )
        if tally.error is not None:
            attention.distrust()

    def _transfer(self, number: int, actions: Iterable[Action]) -> None:
        tools = self._tools
        recorder = Recorder(
            self._bench, tools.index, number, self._tally, tools.metrics, tools.patience, tools.attention
        )
        Transfer(self._bench, recorder, self._publisher, tools.executor, tools.in_flight).run(actions)

    def _start_over(self) -> None:
        """Forget what the broken-off listing said; what was transferred is in the index."""
        done, moved = self._tally.transferred, self._tally.moved_bytes
        self._tally.reset()
        self._tally.transferred, self._tally.moved_bytes = done, moved

    def _egress(self, number: int) -> Iterator[Action]:
        reconciling = self._tools.reconciliation.due(number)
        if not reconciling and not self._must_walk():
            yield from plan_egress_of(self._changed(number), self._bench.now())
            return
        self._tools.attention.begin_walk()
        rows = self._walking(self._tools.index.rows(number))
        local = walk(self._bench.root, self._mapping.directory, self._noticed_walking, egress_skips)
        listing = self._listing_if_possible() if reconciling else None
        yield from plan_egress(local, rows, listing, self._bench.now())
        if reconciling and self._tally.error is None:
            self._tools.reconciliation.done(number)

    def _ingress(self, number: int) -> Iterator[Action]:
        restore = self._mapping.restore
        if not self._must_walk():
            touched, look = self._touched(), self._look
            yield from plan_ingress_of(touched, look, self._tools.index.rows(number), self._listing(), restore=restore)
            return
        self._tools.attention.begin_walk()
        rows = self._walking(self._tools.index.rows(number))
        local = walk(self._bench.root, self._mapping.directory, self._noticed_walking, ingress_skips)
        yield from plan_ingress(self._weighed(local), rows, self._listing(), restore=restore)

    def _must_walk(self) -> bool:
        """Whether nothing less than the whole tree will do; if not, the last walk's counts are carried on."""
        attention, hints = self._tools.attention, self._tools.hints
        if hints.everything or attention.needs_walk:
            return True
        for notice in attention.standing(hints):
            self._tally.notice(notice.name, notice.why.value, notice.detail, pending=notice.why in _PENDING)
        self._tally.skipped = attention.skipped
        self._tally.indexed = attention.indexed
        self._tally.ingress_bytes = attention.ingress_bytes
        return False

    def _changed(self, number: int) -> Iterator[tuple[LocalEntry, Agreed | None]]:
        hints, attention, index = self._tools.hints, self._tools.attention, self._tools.index
        names = hints.files | attention.take(self._bench.now())
        root, directory = self._bench.root, self._mapping.directory
        for entry in visit(root, directory, names, hints.directories, self._noticed_walking, egress_skips):
            yield entry, index.get(number, entry.path)

    def _touched(self) -> Callable[[RelativePath], bool]:
        directories = self._tools.hints.directories
        files = self._tools.hints.files | self._tools.attention.take(self._bench.now())

        def touched(path: RelativePath) -> bool:
            if path in files:
                return True
            return bool(directories) and any(parent in directories for parent in _parents(path))

        return touched

    def _look(self, path: RelativePath) -> Fingerprint | None:
        try:
            return self._bench.root.look(self._bench.path(path))
        except SyncError:
            return None  # something bars the way: the download that is planned then meets it and says so

    def _listing_if_possible(self) -> Iterator[RemoteFile] | None:
        """The listing to reconcile with; None where the server gives none.

        Keys that may write but not list are common, and no error. Whatever else it is, the walk goes
        on without: what waits on the device must be counted, above all while the server is down.
        """
        listing = self._listing()
        try:
            first = next(listing, None)
        except AccessDenied as error:
            log.warning("reconciling skipped: the keys may not list", **fields(error=str(error)))
            return None
        except ListingOutOfOrder:
            raise
        except SyncError as error:
            self._failed(error)
            return None
        return _prepended(first, listing)

    def _listing(self) -> Iterator[RemoteFile]:
        prefix = self._mapping.prefix
        entries = self._tools.store.list(listing_prefix(prefix))
        collisions = Collisions()
        for entry in self._tools.ordering.in_order(prefix, iter(entries)):
            path = path_for(prefix, entry)
            if path is not None and not isinstance(path, NameFault):
                path = self._forbidden(entry, self._bench.path(path)) or collisions.check(path) or path
            if isinstance(path, NameFault):
                self._quarantined(path)
            elif path is not None:
                yield RemoteFile(path, entry.size, entry.etag, entry.modified)

    def _forbidden(self, entry: RemoteEntry, path: str) -> NameFault | None:
        if path.split("/", 1)[0] == OWN_DIR:
            return NameFault(entry.key, f"{OWN_DIR} is data-sync's own directory")
        return None

    def _quarantined(self, fault: NameFault) -> None:
        if self._mapping.direction is Direction.INGRESS:
            self._tally.reasons["quarantined"] += 1
            self._tally.quarantine(fault.name, fault.why)
            self._count("quarantined")

    def _noticed(self, notice: Notice) -> None:
        if self._tools.named.first_time(notice.name):
            log.warning("passed over", **fields(path=notice.name, reason=notice.why.value, detail=notice.detail))
        if notice.why is Passed.SPECIAL:
            self._tally.skipped += 1  # links, FIFOs, devices are never synced: no error, and nothing pending
            return
        self._count(notice.why.value)
        self._tally.notice(notice.name, notice.why.value, notice.detail, pending=notice.why in _PENDING)

    def _noticed_walking(self, notice: Notice) -> None:
        if self._mapping.direction is Direction.INGRESS and notice.why in (Passed.MISSING, Passed.SPECIAL):
            return
        if notice.why is not Passed.SPECIAL:
            self._tools.attention.stands(notice)
        self._noticed(notice)

    def _failed(self, error: SyncError) -> None:
        self._tally.end_early(error)
        self._count(error.reason)

    def _count(self, reason: str) -> None:
        self._tools.metrics.errors.labels(self._mapping.direction.value, reason).inc()

    def _walking(self, rows: Iterator[Agreed]) -> Iterator[Agreed]:
        """The index during a walk: counted, and noted what must be compared later."""
        attention, now = self._tools.attention, self._bench.now()
        for row in rows:
            self._tally.indexed += 1
            if row.recheck_at > now:
                attention.recheck(row.path, row.recheck_at)
            yield row

    def _weighed(self, entries: Iterator[LocalEntry]) -> Iterator[LocalEntry]:
        for entry in entries:
            self._tally.ingress_bytes += entry.fingerprint.size
            yield entry


def ingress_size(root: Root, mappings: Iterable[Mapping]) -> int:
    """Bytes on the device below the directories of ``mappings``, each counted once."""
    directories = sorted({mapping.directory for mapping in mappings})
    outermost = [one for one in directories if not any(other != one and contains(other, one) for other in directories)]
    return sum(
        entry.fingerprint.size
        for directory in outermost
        for entry in walk(root, directory, lambda _: None, ingress_skips)
    )


def ingress_skips(path: str) -> bool:
    """Whether ingress passes ``path`` (below the exported directory) over: our own directory."""
    return path == OWN_DIR


def egress_skips(path: str) -> bool:
    """Whether egress passes ``path`` over: our own directory, and copies kept of local edits."""
    return path == OWN_DIR or is_conflict_copy(path)


def _parents(path: str) -> Iterator[str]:
    cut = path.find("/")
    while cut >= 0:
        yield path[:cut]
        cut = path.find("/", cut + 1)


def _prepended(first: T | None, rest: Iterator[T]) -> Iterator[T]:
    if first is not None:
        yield first
        yield from rest
