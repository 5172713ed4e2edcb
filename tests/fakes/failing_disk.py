"""Each call that changes the disk, made to fail as a full, exceeded, broken or read-only disk makes it fail.

The calls are counted wherever in the sidecar they are made, those of SQLite (which makes its own) by
statement. Nothing below them is touched, so that what a refused call leaves is what a real disk leaves.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from sidecar.state import database
from sidecar.transfer import publish

_CALLS: Final = ("write", "pwrite", "fsync", "rename", "replace", "link", "unlink", "utime", "fchmod")
_STATEMENTS: Final = ("INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "PRAGMA journal_mode")
# What SQLite makes of each: of the full ones it knows ENOSPC only.
_CODES: Final = {errno.ENOSPC: sqlite3.SQLITE_FULL, errno.EROFS: sqlite3.SQLITE_READONLY}


class FailingDisk:
    """Well until :meth:`fail` is called. ``with FailingDisk.installed() as disk:``; open what is to fail inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.heal()

    def fail(self, number: int, first: int, *, lasting: bool) -> None:
        """From now on the ``first`` call (from 1) fails with the errno ``number``; ``lasting``: all after it too."""
        self._number, self._first, self._lasting, self._calls = number, first, lasting, 0

    def heal(self) -> bool:
        """No call fails any more; whether one did."""
        struck = getattr(self, "_first", 0) > 0 and self._calls >= self._first
        self._number = self._first = self._calls = 0
        self._lasting = False
        return struck

    @classmethod
    @contextmanager
    def installed(cls) -> Iterator[FailingDisk]:
        """A disk of this kind below everything that is opened in the block."""
        disk = cls()
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, disk._around(getattr(os, name)))
            for name in ("exchange", "rename_new", "syncfs"):
                patch.setattr(publish, name, disk._around(getattr(publish, name)))
            patch.setattr(os, "mkdir", disk._making(os.mkdir))
            patch.setattr(os, "open", disk._opening(os.open))
            patch.setattr(database, "sqlite3", _Sqlite(disk))
            try:
                yield disk
            finally:
                disk.heal()  # connections of SQLite may outlive the block

    def strike(self) -> None:
        """A call that may be the one to fail."""
        with self._lock:
            self._calls += 1
            strikes = self._first and (self._calls == self._first or (self._lasting and self._calls > self._first))
        if strikes:
            raise OSError(self._number, os.strerror(self._number))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.strike()
            return function(*args, **kwargs)

        return call

    def _making(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A call that finds what it would make needs nothing of the disk."""

        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_there(path, kwargs.get("dir_fd")):
                self.strike()
            return function(path, *args, **kwargs)

        return call

    def _opening(self, function: Callable[..., int]) -> Callable[..., int]:
        making, writing = self._making(function), self._around(function)

        def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if self._number == errno.EROFS and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                return int(writing(path, flags, *args, **kwargs))
            return int((making if flags & os.O_CREAT else function)(path, flags, *args, **kwargs))

        return call


def _is_there(path: Any, directory: int | None) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except OSError:
        return False
    return True


class _Sqlite:
    """The module ``sqlite3``, with connections whose statements fail when it is their turn."""

    def __init__(self, disk: FailingDisk) -> None:
        self._disk = disk

    def connect(self, path: str, **options: Any) -> sqlite3.Connection:
        """As the module's."""
        disk = self._disk

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
                # SQLite needs room only for files that are not there yet.
                if not (statement.startswith("PRAGMA journal_mode") and os.path.exists(f"{path}-shm")):
                    _strike(disk, statement)
                return super().execute(statement, *args)

            def executemany(self, statement: str, *args: Any) -> sqlite3.Cursor:
                # SQLite needs room only for files that are not there yet.
                if not (statement.startswith("PRAGMA journal_mode") and os.path.exists(f"{path}-shm")):
                    _strike(disk, statement)
                return super().executemany(statement, *args)

        return sqlite3.connect(path, factory=Connection, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


def _strike(disk: FailingDisk, statement: str) -> None:
    if not statement.lstrip().startswith(_STATEMENTS):
        return
    try:
        disk.strike()
    except OSError as fault:
        error = sqlite3.OperationalError(fault.strerror)
        error.sqlite_errorcode = _CODES.get(fault.errno or 0, sqlite3.SQLITE_IOERR)
        raise error from fault
