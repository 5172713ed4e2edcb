"""The index: what was last agreed between the two sides, safe against a kill at any instant.

One SQLite file in WAL mode. A row is written only after its transfer is complete and durable, so a
lost row means work done again and never a file forgotten. Rows are read as an ascending stream on
a connection of its own, which sees one consistent state while new rows are written.

While the disk is full, what was agreed is kept in memory up to a bound, so that egress goes on; it is
written when there is room again, and a restart before that costs a HEAD for each such file. A disk that
is full already when we start may not even let SQLite open the file (it wants room for its journal): then
the file is read as it stands, which is enough for egress; see :meth:`Index.thaw`.

Not thread-safe: the engine's thread alone uses it. A file that is broken or of an unknown format is
set aside and a fresh index starts; the reconcile that follows a fresh index moves no body twice.
"""

from __future__ import annotations

import heapq
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from contract.mapping import Mapping
from runtime.logs import fields
from sidecar.errors import NoRoom, SyncError
from sidecar.state.database import IndexBroken, IndexUnusable, translated
from sidecar.state.index_file import IndexFile
from sidecar.tree import Agreed, ETag, Fingerprint, Outline, RelativePath, Version

log = logging.getLogger(__name__)

T = TypeVar("T")

_PENDING_ROWS: Final = 500  # rows collected before they are written in one transaction
MOST_UNWRITTEN: Final = 20_000  # rows kept in memory while they cannot be written, some 20 MB

_COLUMNS: Final = "path, size, mtime_ns, ctime_ns, inode, sha256, etag, remote_size, recheck_at, gone_at"
_SELECT: Final = f"SELECT {_COLUMNS} FROM agreed"  # noqa: S608 - constants
_INSERT: Final = f"INSERT OR REPLACE INTO agreed (scope, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
ROWS: Final = f"{_SELECT} WHERE scope = ? ORDER BY path"
_OUTLINES: Final = (
    "SELECT path, size, mtime_ns, ctime_ns, inode, CASE WHEN gone_at THEN -gone_at ELSE recheck_at END"
    " FROM agreed WHERE scope = ? ORDER BY path"
)
_VERSIONS: Final = "SELECT path, remote_size, etag, 0 FROM agreed WHERE scope = ? ORDER BY path"
ROW: Final = f"{_SELECT} WHERE scope = ? AND path = ?"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a set of rows belongs to. If any of it differs, nothing was agreed yet."""

    endpoint: str
    bucket: str
    mapping: Mapping  # expanded
    directory_id: str  # of the owner record

    @property
    def identity(self) -> str:
        """One line that is equal exactly for equal scopes."""
        ends = (self.mapping.direction.value, self.mapping.directory, self.mapping.prefix)
        return "\n".join((self.endpoint, self.bucket, *ends, self.directory_id))


class Held(NamedTuple):
    """A file that a download replaced (or is about to replace), kept until no writer can be left.

    ``path`` is below the exported directory. ``expected`` is the replaced file as it was agreed, None
    where its content must be kept in any case. ``new_inode`` is the download's: as long as the held
    name still has that inode, the exchange has not happened.
    """

    id: int
    path: str
    new_inode: int
    expected: Fingerprint | None
    cycles_left: int


class Index(IndexFile):
    """See the module. Every method raises :class:`IndexUnusable` or :class:`IndexBroken` when the disk fails."""

    def __init__(self, path: str) -> None:
        self._rows: dict[tuple[int, str], Agreed] = {}
        self._unwritable = False
        self._write_at = _PENDING_ROWS  # rows waiting, at which they are written
        super().__init__(path)

    def close(self) -> None:
        """Write what is pending and close. Safe to call twice."""
        with suppress(SyncError):
            self.commit()
        super().close()

    def start_afresh(self, error: IndexBroken) -> None:
        """Set a file that turned out to be broken aside and go on with an empty one.

        Raises:
            IndexUnusable: the disk refuses that too.
        """
        self._rows.clear()
        super().start_afresh(error)

    def scope(self, scope: Scope) -> int:
        """The number under which rows of ``scope`` are kept; the same in every run."""
        with translated(self.path):
            found = self._writer.execute("SELECT id FROM scope WHERE identity = ?", (scope.identity,)).fetchone()
            if found is None:
                self.thaw()
                found = self._writer.execute(
                    "INSERT INTO scope (identity) VALUES (?) RETURNING id", (scope.identity,)
                ).fetchone()
            return int(found[0])

    def is_empty(self, scope: int) -> bool:
        """Whether nothing was ever agreed in this scope."""
        self.commit()
        with translated(self.path):
            return self._writer.execute("SELECT 1 FROM agreed WHERE scope = ? LIMIT 1", (scope,)).fetchone() is None

    def rows(self, scope: int) -> Iterator[Agreed]:
        """Rows of ``scope``, ascending by path, as they are at the first ``next``; memory does not grow with them."""
        self._tried_to_write()
        if not self._rows:
            yield from self._written(scope)
            return
        unwritten = sorted((row for (number, _), row in self._rows.items() if number == scope), key=_path)
        # Of one path's two rows, the unwritten one is newer; merge() keeps the order of its arguments.
        last = None
        for row in heapq.merge(unwritten, self._written(scope), key=_path):
            if row.path != last:
                yield row
            last = row.path

    def _written(self, scope: int) -> Iterator[Agreed]:
        with translated(self.path):
            reader = self._reader()
            try:
                for row in reader.execute(ROWS, (scope,)):
                    yield agreed_row(row)
            finally:
                reader.close()

    def outlines(self, scope: int) -> AbstractContextManager[Callable[[int], list[Outline]]]:
        """What :meth:`rows` gives, in outline, to be taken some at a time."""
        return self._taken(_OUTLINES, _outline, scope)

    def versions(self, scope: int) -> AbstractContextManager[Callable[[int], list[Version]]]:
        """As :meth:`outlines`, of what the rows remember of their objects."""
        return self._taken(_VERSIONS, _version, scope)

    @contextmanager
    def _taken(self, select: str, shape: Callable[[Agreed], T], scope: int) -> Iterator[Callable[[int], list[T]]]:
        self._tried_to_write()
        if self._rows:
            rest = map(shape, self.rows(scope))
            yield lambda count: list(islice(rest, count))
            return
        with translated(self.path):
            reader = self._reader()
        try:
            with translated(self.path):
                cursor = reader.execute(select, (scope,))
            yield partial(_fetched, self.path, cursor)
        finally:
            reader.close()

    def get(self, scope: int, path: RelativePath) -> Agreed | None:
        """The row of one path; None where nothing was agreed."""
        pending = self._rows.get((scope, path))
        if pending is not None:
            return pending
        with translated(self.path):
            found = self._writer.execute(ROW, (scope, path)).fetchone()
        return agreed_row(found) if found else None

    def record(self, scope: int, agreed: Agreed) -> None:
        """Remember ``agreed``; durable after the next :meth:`commit`, which comes by itself every few hundred rows."""
        self._rows[(scope, agreed.path)] = agreed
        if len(self._rows) >= self._write_at:
            self.commit()

    def commit(self) -> None:
        """Write everything recorded so far, in one transaction; what cannot be written now is kept, bounded.

        Raises:
            NoRoom, IndexUnusable: more is unwritten than may be kept in memory.
            IndexBroken: the file is damaged.
        """
        error = self._tried_to_write()
        if error is not None and len(self._rows) >= MOST_UNWRITTEN:
            raise error

    def _tried_to_write(self) -> SyncError | None:
        """Why what waits could not be written; None where nothing waits any more."""
        try:
            self._write()
        except IndexBroken:
            raise
        except (NoRoom, IndexUnusable) as error:
            if not self._unwritable:
                log.error("index cannot be written; remembering in memory", **fields(error=str(error)))
            self._unwritable = True
            self._write_at = min(MOST_UNWRITTEN, max(_PENDING_ROWS, 2 * len(self._rows)))
            return error
        if self._unwritable:
            log.info("index is written again", **fields(index=self.path))
        self._unwritable, self._write_at = False, _PENDING_ROWS
        return None

    def _write(self) -> None:
        if not self._rows:
            return
        values = [
            (
                scope,
                *_fingerprint_columns(row),
                row.sha256,
                row.etag,
                row.remote_size,
                row.recheck_at,
                row.gone_at,
            )
            for (scope, _), row in self._rows.items()
        ]
        self._transaction(lambda: self._writer.executemany(_INSERT, values))
        self._rows.clear()

    def forget(self, scope: int, paths: Iterable[RelativePath]) -> None:
        """Drop the rows of ``paths``. Never urgent: on a disk that refuses, they stay until the next time."""
        values = [(scope, path) for path in paths]
        for key in values:
            self._rows.pop(key, None)
        self._now_or_later("DELETE FROM agreed WHERE scope = ? AND path = ?", values)

    def mark_gone(self, scope: int, paths: Iterable[RelativePath], now: float) -> None:
        """Note since when (seconds since the epoch) the files of ``paths`` are not on the device; as urgent."""
        values = [(now, scope, path) for path in paths]
        self._now_or_later("UPDATE agreed SET gone_at = ? WHERE scope = ? AND path = ?", values)

    def directory(self, scope: int) -> str:
        """Which directory the rows of ``scope`` were last seen in; empty where that was never noted."""
        with translated(self.path):
            return str(self._writer.execute("SELECT directory FROM scope WHERE id = ?", (scope,)).fetchone()[0])

    def set_directory(self, scope: int, identity: str) -> None:
        """Note the directory, durably."""
        self.thaw()
        with translated(self.path):
            self._writer.execute("UPDATE scope SET directory = ? WHERE id = ?", (identity, scope))

    def _now_or_later(self, statement: str, values: Sequence[tuple[object, ...]]) -> None:
        if not values:
            return
        try:
            self._transaction(lambda: self._writer.executemany(statement, values))
        except IndexBroken:
            raise
        except (NoRoom, IndexUnusable) as error:
            log.warning("index not tidied", **fields(error=str(error)))

    def hold(self, path: str, new_inode: int, expected: Fingerprint | None, cycles: int) -> int:
        """Announce, durably, that the file ``path`` is about to be swapped out; returns the number to hold it under."""
        old = (expected.size, expected.mtime_ns, expected.ctime_ns, expected.inode) if expected else (None,) * 4
        self.thaw()
        with translated(self.path):
            row = self._writer.execute(
                "INSERT INTO held (path, new_inode, size, mtime_ns, ctime_ns, inode, cycles_left)"
                " VALUES (?,?,?,?,?,?,?) RETURNING id",
                (path, new_inode, *old, cycles),
            ).fetchone()
            return int(row[0])

    def held(self) -> list[Held]:
        """Everything announced by :meth:`hold` and not yet released, oldest first."""
        with translated(self.path):
            rows = self._writer.execute(
                "SELECT id, path, new_inode, size, mtime_ns, ctime_ns, inode, cycles_left FROM held ORDER BY id"
            ).fetchall()
        return [
            Held(number, path, new_inode, Fingerprint(*old) if old[0] is not None else None, left)
            for number, path, new_inode, *old, left in rows
        ]

    def age_held(self) -> None:
        """One cycle has passed."""
        self.thaw()
        with translated(self.path):
            self._writer.execute("UPDATE held SET cycles_left = cycles_left - 1 WHERE cycles_left > 0")

    def release(self, number: int) -> None:
        """Forget a held file: it was dealt with."""
        self.thaw()
        with translated(self.path):
            self._writer.execute("DELETE FROM held WHERE id = ?", (number,))


def agreed_row(row: tuple[str, int, int, int, int, bytes, str, int, float, float]) -> Agreed:
    path, size, mtime, ctime, inode, sha256, etag, remote_size, recheck_at, gone_at = row
    local = Fingerprint(size, mtime, ctime, inode)
    return Agreed(RelativePath(path), local, sha256, ETag(etag), remote_size, recheck_at, gone_at)


def _fetched(path: str, cursor: sqlite3.Cursor, count: int) -> list[Any]:
    with translated(path):
        return cursor.fetchmany(count)


def _outline(row: Agreed) -> Outline:
    return *_fingerprint_columns(row), -row.gone_at if row.gone_at else row.recheck_at


def _version(row: Agreed) -> Version:
    return row.path, row.remote_size, row.etag, False


def _path(row: Agreed) -> str:
    return row.path


def _fingerprint_columns(row: Agreed) -> tuple[str, int, int, int, int]:
    return row.path, row.local.size, row.local.mtime_ns, row.local.ctime_ns, row.local.inode
