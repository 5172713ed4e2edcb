"""The bucket's listing held against the index: objects that are not as they were agreed.

As ``rescan`` does with the tree: pages in which nothing changed cost one comparison each. The device's side is
not walked; what the watcher named there is handed on, too. What to do about it is ``plan``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.mirror import Absences
from sidecar.plan import RemoteFile
from sidecar.sides import Sides, Touched
from sidecar.skim import skim
from sidecar.state.index import Index
from sidecar.tree import Agreed, RelativePath, Version


@dataclass(frozen=True, slots=True)
class Relist:
    """One listing of ingress without a walk."""

    sides: Sides
    index: Index
    number: int  # of the scope
    absences: Absences
    touched: Touched

    def differing(self) -> Iterator[tuple[RemoteFile, Agreed | None]]:
        """Objects that are new, or another version than agreed, or whose file was touched; ascending."""
        with self.index.versions(self.number) as take:
            for seen, known in skim(self._runs(), self.sides.rows_seen(take), self._missing):
                file = self.sides.listed.file(seen)
                yield file, None if known is None else self._find(file.path)

    def _runs(self) -> Iterator[list[Version]]:
        for run in self.sides.versions():
            if self.touched.none_of(run):
                yield run
            else:
                yield [(path, size, etag, self.touched(path)) for path, size, etag, _ in run]

    def _missing(self, rows: list[Version]) -> None:
        self.absences.versions(rows, self._find)

    def _find(self, path: RelativePath) -> Agreed | None:
        return self.index.get(self.number, path)
