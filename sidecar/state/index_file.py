"""The index's file while a sidecar has it open: to write to, or as it stands where the disk refuses that.

What is in it is ``index``'s; how it is made, opened once and its errors told is ``database``'s.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from runtime.logs import fields
from sidecar.errors import NoRoom
from sidecar.state.database import (
    IndexBroken,
    IndexUnusable,
    connect,
    open_as_it_stands,
    open_or_start_afresh,
    set_aside,
    translated,
)
from sidecar.state.ownership import identity

log = logging.getLogger(__name__)


class IndexFile:
    """See the module. Not thread-safe.

    Raises:
        IndexUnusable: at construction, it can be neither written nor read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.frozen = False  # read as it stands, until the disk lets us open it for writing
        self._writer = self._open()
        self._identity = identity(path)

    @property
    def in_place(self) -> bool:
        """Whether the file that is open here is still the one that has the name: volumes go and come, people tidy."""
        return identity(self.path) == self._identity

    def close(self) -> None:
        """Let it go. Safe to call twice."""
        self._writer.close()

    def thaw(self) -> None:
        """Open the file for writing, where that was not possible before. Every method that writes does so first.

        Raises:
            NoRoom, IndexUnusable: it still is not.
        """
        if not self.frozen:
            return
        writer = open_or_start_afresh(self.path)
        self._writer.close()
        self._writer, self.frozen = writer, False
        self._identity = identity(self.path)
        log.info("index is written again", **fields(index=self.path))

    def start_afresh(self, error: IndexBroken) -> None:
        """Set a file that turned out to be broken aside and go on with an empty one.

        Raises:
            IndexUnusable: the disk refuses that too.
        """
        self._writer.close()
        self.frozen = False
        set_aside(self.path, error)
        self._writer = open_or_start_afresh(self.path)
        self._identity = identity(self.path)

    def _open(self) -> sqlite3.Connection:
        try:
            return open_or_start_afresh(self.path)
        except (NoRoom, IndexUnusable) as error:
            standing = open_as_it_stands(self.path)
            if standing is None:
                raise
            log.error("index can only be read; only egress goes on", **fields(error=str(error)))
            self.frozen = True
            return standing

    def _reader(self) -> sqlite3.Connection:
        """A connection of its own, which sees one consistent state while the other writes.

        Raises:
            IndexUnusable: it cannot be read.
        """
        reader = (open_as_it_stands if self.frozen else connect)(self.path)
        if reader is None:
            raise IndexUnusable("read", self.path, "it is not what it was")
        return reader

    def _transaction(self, statements: Callable[[], object]) -> None:
        self.thaw()
        with translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                statements()
                self._writer.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise
