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
                elif self.matters(seen, known):
                    yield entry_of(seen), self.row(RelativePath(known[0]))

    def matters(self, seen: Outline, known: Outline) -> bool:
        """Whether a file must be looked at whose row differs in outline; what need not, is remembered for later."""
        self.recheck_later(known)
        if known[5] < 0:  # it was missing for a while
            path = RelativePath(known[0])
            self.absences.back(path)
            row = self.row(path)
            if row is not None and row.recheck_at > self.now:
                self.attention.recheck(path, row.recheck_at)
        return seen[:5] != known[:5] or known[5] <= self.now

    def recheck_later(self, known: Outline) -> None:
        """Have the content compared when it is time."""
        if known[5] > self.now:
            self.attention.recheck(RelativePath(known[0]), known[5])

    def row(self, path: RelativePath) -> Agreed | None:
        """The row itself."""
        return self.index.get(self.number, path)

    def _missing(self, rows: list[Outline]) -> None:
        for row in rows:
            if row[5] > 0:
                self.recheck_later(row)
        self.absences.outlines(rows, self.row)
