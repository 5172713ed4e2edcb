"""The index read by somebody who does not own it: beside the sidecar that writes, or after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sidecar.state.database import connect_to_read, translated
from sidecar.state.index import ROW, ROWS, Scope, agreed_row
from sidecar.tree import Agreed, RelativePath


class IndexReader:
    """What was agreed, as it is written at this moment; without an index, nothing was.

    Raises:
        IndexUnusable: at construction or later, it is there and cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connect_to_read(path)

    def close(self) -> None:
        """Let it go."""
        if self._connection is not None:
            self._connection.close()

    def scope(self, scope: Scope) -> int | None:
        """The number of ``scope``; None where nothing was ever agreed in it."""
        if self._connection is None:
            return None
        with translated(self._path):
            found = self._connection.execute("SELECT id FROM scope WHERE identity = ?", (scope.identity,)).fetchone()
        return int(found[0]) if found else None

    def get(self, scope: int | None, path: RelativePath) -> Agreed | None:
        """The row of ``path``."""
        if self._connection is None or scope is None:
            return None
        with translated(self._path):
            found = self._connection.execute(ROW, (scope, path)).fetchone()
        return agreed_row(found) if found else None

    def rows(self, scope: int | None) -> Iterator[Agreed]:
        """All rows, ascending by path."""
        if self._connection is None or scope is None:
            return
        with translated(self._path):
            for row in self._connection.execute(ROWS, (scope,)):
                yield agreed_row(row)

    def count(self, scope: int | None) -> int:
        """How many rows there are."""
        if self._connection is None or scope is None:
            return 0
        with translated(self._path):
            return int(self._connection.execute("SELECT count(*) FROM agreed WHERE scope = ?", (scope,)).fetchone()[0])
