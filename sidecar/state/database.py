"""The index's file: SQLite in WAL mode, its schema and formats, and its errors in our words.

What stands in the tables is ``index``'s. A file that is broken or of an unknown format is set aside,
never repaired; one of an older format of ours is carried over.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from runtime.logs import fields
from sidecar.errors import LocalFault, NoRoom

log = logging.getLogger(__name__)

FORMAT: Final = 2
_APPLICATION: Final = 0x0F10DA7A  # marks the file as ours, see PRAGMA application_id
_SCHEMA: Final = """
CREATE TABLE scope (
  id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,
  directory TEXT NOT NULL DEFAULT ''
);
CREATE TABLE agreed (
  scope INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  sha256 BLOB NOT NULL, etag TEXT NOT NULL, remote_size INTEGER NOT NULL, recheck_at REAL NOT NULL,
  gone_at REAL NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, path)
) WITHOUT ROWID;
CREATE TABLE held (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL, new_inode INTEGER NOT NULL,
  size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
  cycles_left INTEGER NOT NULL
);
"""

# What makes a file of each older format one of the next.
_MIGRATIONS: Final = {
    1: "ALTER TABLE scope ADD COLUMN directory TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE agreed ADD COLUMN gone_at REAL NOT NULL DEFAULT 0;",
}


class IndexUnusable(LocalFault):
    """The index can be neither read nor written now (full or read-only disk)."""

    reason = "index"
    hint = "check the volume behind the exported directory: space, inodes, read-only?"


class IndexBroken(IndexUnusable):
    """The index file itself is damaged; opening it again starts afresh."""


def open_or_start_afresh(path: str) -> sqlite3.Connection:
    """The database of ``path`` in the current format; what cannot be used there is set aside first.

    Raises:
        IndexUnusable: the disk refuses.
    """
    try:
        return _open(path)
    except IndexBroken as error:
        set_aside(path, error)
        return _open(path)


def connect(path: str) -> sqlite3.Connection:
    """A connection to a database that is there."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    # NORMAL in WAL mode: a power cut may lose the last rows, never the file's consistency.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -2048")
    return connection


def connect_to_read(path: str) -> sqlite3.Connection | None:
    """A connection that changes nothing, beside whoever writes; None where there is no index of this format.

    Raises:
        IndexUnusable: it is there and cannot be read.
    """
    if not os.path.exists(path):
        return None
    # While nobody has it open there is no shared-memory file, and a reader must not make one: then
    # the file stands still, and may be read as it is.
    still = "&immutable=1" if not os.path.exists(path + "-shm") else ""
    with translated(path):
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro{still}", uri=True, isolation_level=None, timeout=10)
        if _kind_of(connection) == (_APPLICATION, FORMAT):
            return connection
        connection.close()
    return None


def open_as_it_stands(path: str) -> sqlite3.Connection | None:
    """A connection that only reads, and for which nothing has to be written: for a disk that refuses.

    None where the file alone is not all of it (a killed process left a journal), or is none of this format. Nobody
    else may write to it meanwhile.
    """
    with suppress(OSError):
        if os.stat(path + "-wal").st_size:
            return None
    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
        if _kind_of(connection) == (_APPLICATION, FORMAT):
            return connection
        connection.close()
    except sqlite3.Error:
        return None
    return None


def set_aside(path: str, error: IndexBroken) -> None:
    """Give a broken file another name.

    Raises:
        IndexUnusable: the disk refuses.
    """
    aside = f"{path}.broken"  # one only: a device has no room for a collection
    try:
        os.replace(path, aside)
    except OSError as fault:
        raise IndexUnusable("set aside", path, fault.strerror or str(fault)) from fault
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)
    log.error("index set aside and started afresh", **fields(index=path, aside=aside, error=str(error)))


def _open(path: str) -> sqlite3.Connection:
    with translated(path):
        connection = connect(path)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    application, version = _kind_of(connection)
    if (application, version) == (_APPLICATION, FORMAT):
        connection.execute("SELECT 1 FROM agreed LIMIT 1").fetchone()
        return
    if application == _APPLICATION and version in _MIGRATIONS:
        steps = "".join(_MIGRATIONS[step] for step in range(version, FORMAT))
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {FORMAT}; COMMIT;")
        return
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
        raise IndexBroken("open", path, f"unknown format {application:#x}/{version}")
    connection.executescript(
        f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
    )


def _kind_of(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


class translated:  # noqa: N801 - reads as a word in a with statement
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
