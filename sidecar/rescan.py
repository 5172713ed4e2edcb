"""The whole tree held against the index: what a walk finds that is not as it was agreed.

Where nothing changed it compares by the thousand (``skim``) and reads no row but in outline. What to do about a
difference is ``plan``'s, about what is missing ``mirror``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.mirror import Absences
from sidecar.selection.attention import Attention
from sidecar.sides import Sides
from sidecar.skim import skim
from sidecar.state.index import Index
from sidecar.tree import Agreed, LocalEntry, Outline, RelativePath, entry_of


@dataclass(frozen=True, slots=True)
class Rescan:
    """One walk of egress without a listing. ``now`` is in seconds since the epoch."""

    sides: Sides
    index: Index
    number: int  # of the scope
    attention: Attention
    absences: Absences
    now: float

    def differing(self) -> Iterator[tuple[LocalEntry, Agreed | None]]:
        """Files that differ from their row, have none, or must be compared by now; ascending."""
        with self.index.outlines(self.number) as take:
            for seen, known in skim(self.sides.runs(), self.sides.counted(take), self._missing):
                if known is None:
                    yield entry_of(seen), None
                    continue
                path = RelativePath(known[0])
                self._recheck_later(path, known[5])
                if seen[:5] != known[:5] or known[5] <= self.now:
                    yield entry_of(seen), self._row(path, known)

    def _row(self, path: RelativePath, known: Outline) -> Agreed | None:
        row = self._find(path)
        if known[5] < 0:  # it was missing for a while
            self.absences.back(path)
            self._recheck_later(path, row.recheck_at if row is not None else 0.0)
        return row

    def _find(self, path: RelativePath) -> Agreed | None:
        return self.index.get(self.number, path)

    def _missing(self, rows: list[Outline]) -> None:
        for row in rows:
            if row[5] > 0:
                self._recheck_later(RelativePath(row[0]), row[5])
        self.absences.outlines(rows, self._find)

    def _recheck_later(self, path: RelativePath, at: float) -> None:
        if at > self.now:
            self.attention.recheck(path, at)
