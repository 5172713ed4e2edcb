"""``delete: true``: what was removed on one side is removed on the other, and never on a doubt (promise 4).

Collects, during a pass, the rows of the index whose file is missing where it comes from; decides,
purely, whether to believe it; and removes one by one, each looked at again just before. Without
``delete`` the same knowledge only tidies the index: rows of files that are long gone are forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from contract.mapping import Direction
from runtime.logs import fields
from sidecar.errors import ChangedWhileReading, PreconditionFailed, Refused, SyncError
from sidecar.local import files
from sidecar.plan import Absent
from sidecar.remote.keys import key_for
from sidecar.remote.store import META_WRITER
from sidecar.reporting.tally import Tally
from sidecar.selection.attention import Attention
from sidecar.selection.filtering import Filter
from sidecar.sides import Seen
from sidecar.state.index import Index
from sidecar.transfer.bench import Bench, Stopping
from sidecar.transfer.publish import Publisher
from sidecar.tree import Agreed, Outline, RelativePath, Version

log = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_LIMIT: Final = 10  # files that a cycle may always remove: a small directory is tidied, too
MOST_LIMIT: Final = 1000
LIMIT_SHARE: Final = 4  # one in so many of the known files
LONG_GONE: Final = 30 * 86_400.0  # seconds after which the row of a missing file is forgotten
_KEPT: Final = 10_000  # rows of missing files that one pass deals with


class DeleteHeld(Refused):
    """Mirroring holds back: it may be a fault and no removal."""

    reason = "delete_held"


@dataclass(slots=True)
class Absences:
    """What a pass found missing; bounded. Called by the planner for each."""

    filter: Filter
    delete: bool  # of the mapping; without, missing files are only tidied away in the end
    now: float  # seconds since the epoch
    total: int = 0  # rows without their file, filtered ones included
    wanted: int = 0  # of those, with `delete`, what a filter does not leave alone
    both: list[RelativePath] = field(default_factory=list)
    one: list[Agreed] = field(default_factory=list)  # with `delete`
    newly: list[RelativePath] = field(default_factory=list)  # the others: missing for the first time
    long_gone: list[RelativePath] = field(default_factory=list)
    returned: list[RelativePath] = field(default_factory=list)  # marked as missing, and there

    def __call__(self, absent: Absent) -> None:
        row = absent.agreed
        self.total += 1
        if self.filter.passes_over(row.path):
            return  # excluded later, not removed
        if absent.both:
            _keep(self.both, row.path)
        elif self.delete:
            self.wanted += 1
            _keep(self.one, row)
        else:
            self._aged(row.path, row.gone_at)

    def outlines(self, rows: list[Outline], find: Callable[[RelativePath], Agreed | None]) -> None:
        """As a call for each of ``rows``, known to be missing on one side; ``find`` gives the row itself.

        Rows stay for a month after their file has gone, so most of ``rows`` may be known to be missing:
        where nothing is to follow from that, they cost next to nothing.
        """
        self.total += len(rows)
        if not self.delete:
            oldest = LONG_GONE - self.now
            rows = [row for row in rows if row[5] >= 0 or row[5] > oldest]
        for row in rows:
            path = RelativePath(row[0])
            if self.delete:
                self._want(path, find)
            elif not self.filter.passes_over(path):
                self._aged(path, -min(row[5], 0.0))

    def versions(self, rows: list[Version], find: Callable[[RelativePath], Agreed | None]) -> None:
        """As :meth:`outlines`, of objects that are missing in the bucket."""
        self.total += len(rows)
        if self.delete:
            for row in rows:
                self._want(RelativePath(row[0]), find)

    def _want(self, path: RelativePath, find: Callable[[RelativePath], Agreed | None]) -> None:
        if self.filter.passes_over(path):
            return  # excluded later, not removed
        self.wanted += 1
        if len(self.one) < _KEPT and (row := find(path)) is not None:
            self.one.append(row)

    def back(self, path: RelativePath) -> None:
        """The file of a row that is marked as missing is there."""
        _keep(self.returned, path)

    def _aged(self, path: RelativePath, gone_at: float) -> None:
        if not gone_at:
            _keep(self.newly, path)
        elif self.now - gone_at > LONG_GONE:
            _keep(self.long_gone, path)


def _keep(kept: list[T], one: T) -> None:
    if len(kept) < _KEPT:
        kept.append(one)


def doubt(direction: Direction, seen: Seen, absent: int, wanted: int, limit: int | None) -> str | None:
    """Why ``wanted`` missing files must not be taken for removed, as a sentence; None where they may.

    ``absent``: rows of the index without their file, whatever a filter says.
    """
    if direction is Direction.EGRESS:
        if seen.blind or not seen.walked:
            return "some directory could not be looked into"
        if not seen.files:
            return "not one file is there: an empty directory is never taken for emptied"
    elif not seen.listed or not seen.objects:
        return "the listing is empty: an empty listing is never taken for an emptied bucket"
    if absent >= seen.rows:
        return "not one known file is left: it may be another directory or bucket"
    allowed = limit if limit is not None else min(MOST_LIMIT, max(LEAST_LIMIT, seen.rows // LIMIT_SHARE))
    if wanted > allowed:
        return f"{wanted} files are missing, one cycle removes at most {allowed}; if that is meant, set deleteLimit"
    return None


class Mirror:
    """What follows from the absences of one pass. For the engine's thread."""

    def __init__(
        self, bench: Bench, index: Index, number: int, publisher: Publisher, attention: Attention, tally: Tally
    ) -> None:
        self._bench = bench
        self._index = index
        self._number = number
        self._publisher = publisher
        self._attention = attention
        self._tally = tally
        self._mapping = bench.mapping
        self._egress = bench.mapping.direction is Direction.EGRESS

    def settle(self, absences: Absences, seen: Seen) -> None:
        """Remove, hold back or tidy. Only after a pass that saw everything on the side where files are missing.

        Raises:
            SyncError: the directory or the index fails, or time is up.
        """
        if self._egress and (seen.blind or not seen.files):
            if self._mapping.delete and absences.wanted:
                self._held(absences, seen)
            return
        if seen.objects:  # an empty listing says nothing
            self._index.forget(self._number, absences.both)
        if self._mapping.delete:
            self._mirror(absences, seen)
        elif self._egress:
            self._age(absences)

    def _mirror(self, absences: Absences, seen: Seen) -> None:
        if self._egress and not self._same_directory(absences):
            return
        self._attention.held_back = None
        if not absences.wanted:
            return
        if not self._held(absences, seen):
            self._sweep(absences.one)

    def _held(self, absences: Absences, seen: Seen) -> bool:
        why = doubt(
            self._mapping.direction,
            seen,
            absences.total,
            absences.wanted,
            self._mapping.delete_limit,
        )
        if why is None:
            return False
        error = DeleteHeld("mirror", self._mapping.directory, f"nothing is removed: {why}")
        if str(self._attention.held_back) != str(error):
            log.error("removals held back", **fields(directory=self._mapping.directory, error=str(error)))
        self._attention.held_back = error
        self._tally.fail(self._mapping.directory, error)
        return True

    def _same_directory(self, absences: Absences) -> bool:
        """Whether this is the directory in which the rows were last seen; if not, what it lacks was not removed."""
        now = self._bench.root.identity(self._mapping.directory)
        before = self._index.directory(self._number)
        if now == before:
            return True
        self._index.forget(self._number, [row.path for row in absences.one])
        if absences.wanted:
            log.warning(
                "another directory than before: what it lacks stays in the bucket",
                **fields(directory=self._mapping.directory, files=absences.wanted),
            )
        if absences.wanted <= len(absences.one):  # else the next walk goes on forgetting
            self._index.set_directory(self._number, now)
        return False

    def _age(self, absences: Absences) -> None:
        self._index.mark_gone(self._number, absences.returned, 0.0)
        self._index.mark_gone(self._number, absences.newly, absences.now)
        self._index.forget(self._number, absences.long_gone)

    def _sweep(self, rows: list[Agreed]) -> None:
        directory = self._bench.root.identity(self._mapping.directory)
        done: list[RelativePath] = []
        try:
            for row in rows:
                self._bench.beat()
                if self._bench.root.identity(self._mapping.directory) != directory:
                    raise DeleteHeld("mirror", self._mapping.directory, "the directory was replaced meanwhile")
                if self._tried(row):
                    done.append(row.path)
        finally:
            self._index.forget(self._number, done)

    def _tried(self, row: Agreed) -> bool:
        """Whether the row of a missing file is done with."""
        try:
            return self._remove_object(row) if self._egress else self._remove_file(row)
        except Stopping:
            raise
        except SyncError as error:
            self._tally.fail(self._bench.path(row.path), error)
            self._attention.distrust()
            log.warning("not removed", **fields(path=self._bench.path(row.path), error=str(error)))
            return False

    def _remove_object(self, row: Agreed) -> bool:
        path = self._bench.path(row.path)
        if self._bench.root.look(path) is not None:
            return False  # it is back
        key = key_for(self._mapping.prefix, row.path)
        there = self._bench.store.head(key)
        if there is None:
            return True
        if there.metadata.get(META_WRITER) != self._bench.writer or there.etag != row.etag:
            return self._left(path, "somebody else wrote it since")
        try:
            self._bench.store.delete(key, there.etag)
        except PreconditionFailed:
            return self._left(path, "somebody else wrote it just now")
        return self._removed(path)

    def _remove_file(self, row: Agreed) -> bool:
        path = self._bench.path(row.path)
        local = self._bench.root.look(path)
        if local is None:
            return True
        if local != row.local or not self._has_content(path, row):
            return self._left(path, "the workload changed it")
        if self._bench.store.head(key_for(self._mapping.prefix, row.path)) is not None:
            return False  # it is back
        self._publisher.remove(path, row.local)
        return self._removed(path)

    def _has_content(self, path: str, row: Agreed) -> bool:
        try:
            with self._bench.root.open_file(path) as fd:
                return files.hash_file(fd, path, row.local.size, self._bench.beat) == row.sha256
        except (FileNotFoundError, ChangedWhileReading):
            return False

    def _removed(self, path: str) -> bool:
        self._tally.removed += 1
        log.info("removed", **fields(path=path, side="bucket" if self._egress else "device"))
        return True

    def _left(self, path: str, why: str) -> bool:
        log.warning("kept although it was removed on the other side", **fields(path=path, reason=why))
        return True
