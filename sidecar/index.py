"""The index: what was last agreed between the two sides, safe against a kill at any instant.

One SQLite file in WAL mode. A row is written only after its transfer is complete and durable, so a
lost row means work done again and never a file forgotten. Rows are read as an ascending stream on
a connection of its own, which sees one consistent state while new rows are written.

Not thread-safe: the engine's thread alone uses it. A file that is broken or of an unknown format is
set aside and a fresh index starts; the reconcile that follows a fresh index moves no body twice.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from contract.mapping import Mapping
from runtime.logs import fields
from sidecar.errors import LocalFault, NoRoom, SyncError
from sidecar.tree import Agreed, ETag, Fingerprint, RelativePath

log = logging.getLogger(__name__)

FORMAT: Final = 1
_APPLICATION: Final = 0x0F10DA7A  # marks the file as ours, see PRAGMA application_id
_PENDING_ROWS: Final = 500  # rows collected before they are written in one transaction

_SCHEMA: Final = """
CREATE TABLE scope (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE agreed (
  scope INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  sha256 BLOB NOT NULL, etag TEXT NOT NULL, remote_size INTEGER NOT NULL, recheck_at REAL NOT NULL,
  PRIMARY KEY (scope, path)
) WITHOUT ROWID;
CREATE TABLE held (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL, new_inode INTEGER NOT NULL,
  size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
  cycles_left INTEGER NOT NULL
);
"""

_SELECT: Final = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256, etag, remote_size, recheck_at FROM agreed"
_ROWS: Final = f"{_SELECT} WHERE scope = ? ORDER BY path"
_ROW: Final = f"{_SELECT} WHERE scope = ? AND path = ?"


class IndexUnusable(LocalFault):
    """The index can be neither read nor written now (full or read-only disk)."""

    reason = "index"
    hint = "check the volume behind the exported directory: space, inodes, read-only?"


class IndexBroken(IndexUnusable):
    """The index file itself is damaged; opening it again starts afresh."""


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


@dataclass(frozen=True, slots=True)
class Held:
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


class Index:
    """See the module. Every method raises :class:`IndexUnusable` or :class:`IndexBroken` when the disk fails."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._rows: dict[tuple[int, str], Agreed] = {}
        try:
            self._writer = self._open()
        except IndexBroken as error:
            self._set_aside(error)
            self._writer = self._open()

    def close(self) -> None:
        """Write what is pending and close. Safe to call twice."""
        with suppress(SyncError):
            self.commit()
        self._writer.close()

    def start_afresh(self, error: IndexBroken) -> None:
        """Set a file that turned out to be broken aside and go on with an empty one.

        Raises:
            IndexUnusable: the disk refuses that too.
        """
        self._writer.close()
        self._rows.clear()
        self._set_aside(error)
        self._writer = self._open()

    def scope(self, scope: Scope) -> int:
        """The number under which rows of ``scope`` are kept; the same in every run."""
        with _translated(self.path):
            found = self._writer.execute("SELECT id FROM scope WHERE identity = ?", (scope.identity,)).fetchone()
            if found is None:
                found = self._writer.execute(
                    "INSERT INTO scope (identity) VALUES (?) RETURNING id", (scope.identity,)
                ).fetchone()
            return int(found[0])

    def is_empty(self, scope: int) -> bool:
        """Whether nothing was ever agreed in this scope."""
        self.commit()
        with _translated(self.path):
            return self._writer.execute("SELECT 1 FROM agreed WHERE scope = ? LIMIT 1", (scope,)).fetchone() is None

    def rows(self, scope: int) -> Iterator[Agreed]:
        """Rows of ``scope``, ascending by path, as they are at the first ``next``; memory does not grow with them."""
        self.commit()
        with _translated(self.path):
            reader = _connect(self.path)
            try:
                for row in reader.execute(_ROWS, (scope,)):
                    yield _agreed(row)
            finally:
                reader.close()

    def get(self, scope: int, path: RelativePath) -> Agreed | None:
        """The row of one path; None where nothing was agreed."""
        pending = self._rows.get((scope, path))
        if pending is not None:
            return pending
        with _translated(self.path):
            found = self._writer.execute(_ROW, (scope, path)).fetchone()
        return _agreed(found) if found else None

    def record(self, scope: int, agreed: Agreed) -> None:
        """Remember ``agreed``; durable after the next :meth:`commit`, which comes by itself every few hundred rows."""
        self._rows[(scope, agreed.path)] = agreed
        if len(self._rows) >= _PENDING_ROWS:
            self.commit()

    def commit(self) -> None:
        """Write everything recorded so far, in one transaction."""
        if not self._rows:
            return
        values = [
            (scope, *_fingerprint_columns(row), row.sha256, row.etag, row.remote_size, row.recheck_at)
            for (scope, _), row in self._rows.items()
        ]
        with _translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany("INSERT OR REPLACE INTO agreed VALUES (?,?,?,?,?,?,?,?,?,?)", values)
                self._writer.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise
        self._rows.clear()

    def hold(self, path: str, new_inode: int, expected: Fingerprint | None, cycles: int) -> int:
        """Announce, durably, that the file ``path`` is about to be swapped out; returns the number to hold it under."""
        old = (expected.size, expected.mtime_ns, expected.ctime_ns, expected.inode) if expected else (None,) * 4
        with _translated(self.path):
            row = self._writer.execute(
                "INSERT INTO held (path, new_inode, size, mtime_ns, ctime_ns, inode, cycles_left)"
                " VALUES (?,?,?,?,?,?,?) RETURNING id",
                (path, new_inode, *old, cycles),
            ).fetchone()
            return int(row[0])

    def held(self) -> list[Held]:
        """Everything announced by :meth:`hold` and not yet released, oldest first."""
        with _translated(self.path):
            rows = self._writer.execute(
                "SELECT id, path, new_inode, size, mtime_ns, ctime_ns, inode, cycles_left FROM held ORDER BY id"
            ).fetchall()
        return [
            Held(number, path, new_inode, Fingerprint(*old) if old[0] is not None else None, left)
            for number, path, new_inode, *old, left in rows
        ]

    def age_held(self) -> None:
        """One cycle has passed."""
        with _translated(self.path):
            self._writer.execute("UPDATE held SET cycles_left = cycles_left - 1 WHERE cycles_left > 0")

    def release(self, number: int) -> None:
        """Forget a held file: it was dealt with."""
        with _translated(self.path):
            self._writer.execute("DELETE FROM held WHERE id = ?", (number,))

    def _open(self) -> sqlite3.Connection:
        with _translated(self.path):
            connection = _connect(self.path)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) == (_APPLICATION, FORMAT):
            connection.execute("SELECT 1 FROM agreed LIMIT 1").fetchone()
            return
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
            raise IndexBroken("open", self.path, f"unknown format {application:#x}/{version}")
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )

    def _set_aside(self, error: IndexBroken) -> None:
        aside = f"{self.path}.broken"  # one only: a device has no room for a collection
        try:
            os.replace(self.path, aside)
        except OSError as fault:
            raise IndexUnusable("set aside", self.path, fault.strerror or str(fault)) from fault
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(self.path + suffix)
        log.error("index set aside and started afresh", **fields(index=self.path, aside=aside, error=str(error)))


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    # NORMAL in WAL mode: a power cut may lose the last rows, never the file's consistency.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -2048")
    return connection


def _agreed(row: tuple[str, int, int, int, int, bytes, str, int, float]) -> Agreed:
    path, size, mtime, ctime, inode, sha256, etag, remote_size, recheck_at = row
    local = Fingerprint(size, mtime, ctime, inode)
    return Agreed(RelativePath(path), local, sha256, ETag(etag), remote_size, recheck_at)


def _fingerprint_columns(row: Agreed) -> tuple[str, int, int, int, int]:
    return row.path, row.local.size, row.local.mtime_ns, row.local.ctime_ns, row.local.inode


class _translated:  # noqa: N801 - reads as a word in a with statement
    """SQLite's exceptions as ours. Damage is told from a failing disk by the library's own error code."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise NoRoom("write", self._path, str(error)) from error
        damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, sqlite3.ProgrammingError)
        raise (IndexBroken if damaged else IndexUnusable)("use", self._path, str(error)) from error
