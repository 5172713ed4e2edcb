"""Both sides of one mapping in one pass, as the ascending streams that the planner merges.

What is passed over is counted and named here; what to do about what is seen is ``plan``'s. Whether the
whole tree is walked, or only what the watcher named, is decided by ``mapping_pass``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeVar

from contract.globs import parents
from contract.mapping import Direction
from runtime.logs import fields
from sidecar.errors import SyncError
from sidecar.listed import Listed
from sidecar.local.notices import Notice, Passed
from sidecar.local.scan import walk_runs
from sidecar.local.visit import visit
from sidecar.local.watch import Hints
from sidecar.loop import take_turns
from sidecar.plan import RemoteFile
from sidecar.remote.keys import listing_prefix
from sidecar.remote.order import Ordering
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Tally
from sidecar.selection.attention import Attention, Named
from sidecar.selection.filtering import Filter
from sidecar.skim import Take
from sidecar.state.index import Index
from sidecar.transfer.bench import Bench
from sidecar.tree import Agreed, Entries, Fingerprint, LocalEntry, NameFault, Outline, RelativePath, Version, entry_of

log = logging.getLogger(__name__)

B = TypeVar("B", bound=tuple[Any, ...])

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


@dataclass(frozen=True, slots=True)
class Touched:
    """What may have changed on the device since the last pass: files, and directories with all below them."""

    files: set[str]
    directories: set[str]

    def __call__(self, path: str) -> bool:
        """Whether ``path`` is one of them."""
        return path in self.files or any(parent in self.directories for parent in parents(path))

    def none_of(self, run: list[Version]) -> bool:
        """Whether clearly none in ``run`` is; false where each must be asked."""
        return not self.directories and (not self.files or self.files.isdisjoint(map(itemgetter(0), run)))


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
        self.listed = Listed(self._mapping.directory, self._mapping.prefix, filter_, self._quarantined)

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
            self._goes_on()
            yield run
        self.seen.walked = True

    def counted(self, take: Take[Outline]) -> Take[Outline]:
        """The index in outline during a walk."""

        def indexed(count: int) -> None:
            self._tally.indexed += count

        return _counting(self.rows_seen(take), indexed)

    def rows_seen(self, take: Take[B]) -> Take[B]:
        """The index in outline."""

        def seen(count: int) -> None:
            self.seen.rows += count

        return _counting(take, seen)

    def rows(self, number: int) -> Iterator[Agreed]:
        """The index during a walk: counted, and noted what must be compared later."""
        now = self._bench.now()
        for row in self._index.rows(number):
            self.seen.rows += 1
            self._tally.indexed += 1
            if row.recheck_at > now:
                self._attention.recheck(row.path, row.recheck_at)
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

    def touched(self) -> Touched:
        """Which files of ingress may differ from what was agreed."""
        return Touched(self._hints.files | self._attention.take(self._bench.now()), self._hints.directories)

    def look(self, path: RelativePath) -> Fingerprint | None:
        """The file as it is now."""
        try:
            return self._bench.root.look(self._bench.path(path))
        except SyncError:
            return None  # something bars the way: the download that is planned then meets it and says so

    def listing(self) -> Iterator[RemoteFile]:
        """The bucket's side; names that cannot be paths are quarantined, what is filtered left out."""
        for run in self.versions():
            yield from map(self.listed.file, run)

    def versions(self) -> Iterator[list[Version]]:
        """As :meth:`listing`, in outline; ``listed`` knows more of the run that came last."""
        yield from self.listed.runs(self._pages())
        self.seen.listed = True

    def _pages(self) -> Iterator[Entries]:
        prefix = self._mapping.prefix
        for page in self._ordering.pages_in_order(prefix, self._bench.store.pages(listing_prefix(prefix))):
            self.seen.objects += len(page.keys)
            self._goes_on()
            yield page

    def _goes_on(self) -> None:
        """A long walk or listing is progress, and must not keep the transfers waiting that have begun."""
        self._bench.alive()
        take_turns()

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


def _counting(take: Take[B], count: Callable[[int], None]) -> Take[B]:
    def counted(wanted: int) -> list[B]:
        rows = take(wanted)
        count(len(rows))
        return rows

    return counted
