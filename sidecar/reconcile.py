"""Tree, index and listing at once: the paths on which not all three agree.

Each side is held against the index as ``rescan`` and ``relist`` do it, and what differs on either comes together
here; the other side is then known to be as it was agreed. What to do about it is ``plan``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.plan import Aligned, RemoteFile
from sidecar.rescan import Rescan
from sidecar.skim import skim_both
from sidecar.tree import Agreed, LocalEntry, RelativePath, Version, entry_of

# A path that differs on one side, what is there (None: nothing), and whether the index has a row of it.
_Here = tuple[RelativePath, LocalEntry | None, bool]
_There = tuple[RelativePath, RemoteFile | None, bool]


@dataclass(frozen=True, slots=True)
class Reconcile:
    """One walk of egress beside ``versions``, the listing in outline."""

    rescan: Rescan
    versions: Iterable[list[Version]]

    def differing(self) -> Iterator[Aligned]:
        """Ascending by path. ``modified`` of an object that is as it was agreed is 0."""
        here, there = self._here(), self._there()
        one, two = next(here, None), next(there, None)
        while one is not None or two is not None:
            path = min(side[0] for side in (one, two) if side is not None)
            mine = one if one is not None and one[0] == path else None
            other = two if two is not None and two[0] == path else None
            known = any(side[2] for side in (mine, other) if side is not None)
            row = self.rescan.row(path) if known else None
            yield path, _file(mine, row), row, _object(other, row)
            one = next(here, None) if mine is not None else one
            two = next(there, None) if other is not None else two

    def _here(self) -> Iterator[_Here]:
        rescan = self.rescan
        with rescan.index.outlines(rescan.number) as take:
            for seen, known in skim_both(rescan.sides.runs(), rescan.sides.counted(take)):
                if seen is None:
                    assert known is not None  # of the two there is always one
                    rescan.recheck_later(known)
                    yield RelativePath(known[0]), None, True
                elif known is None or rescan.matters(seen, known):
                    yield RelativePath(seen[0]), entry_of(seen), known is not None

    def _there(self) -> Iterator[_There]:
        rescan = self.rescan
        with rescan.index.versions(rescan.number) as take:
            for seen, known in skim_both(self.versions, take):
                if seen is not None:
                    yield RelativePath(seen[0]), rescan.sides.listed.file(seen), known is not None
                elif known is not None:
                    yield RelativePath(known[0]), None, True


def _file(side: _Here | None, row: Agreed | None) -> LocalEntry | None:
    if side is not None:
        return side[1]
    return LocalEntry(row.path, row.local) if row is not None else None


def _object(side: _There | None, row: Agreed | None) -> RemoteFile | None:
    if side is not None:
        return side[1]
    return RemoteFile(row.path, row.remote_size, row.etag, 0.0) if row is not None else None
