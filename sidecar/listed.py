"""The bucket's side of one mapping, some objects at a time: keys as paths, what cannot be one quarantined.

Nearly every page of a listing holds nothing odd, which a few questions to the whole page show; only where one
of them is answered otherwise, its objects are asked one by one. Order is ``remote/order``'s.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

from contract.names import OWN_DIR
from sidecar.plan import RemoteFile
from sidecar.remote.keys import Collisions, path_for, plain_paths
from sidecar.selection.filtering import Filter
from sidecar.tree import Entries, ETag, NameFault, RelativePath, RemoteEntry, Version, seconds


@dataclass(slots=True)
class Listed:
    """See the module; for one listing. ``directory`` and ``prefix`` are the mapping's."""

    directory: str
    prefix: str
    filter: Filter
    quarantined: Callable[[NameFault], None]
    _collisions: Collisions = field(default_factory=Collisions)
    _paths: list[str] = field(default_factory=list)  # of the page at hand
    _modified: list[str] = field(default_factory=list)

    def runs(self, pages: Iterable[Entries]) -> Iterator[list[Version]]:
        """Each page's files as they would be here, ascending."""
        for page in pages:
            paths = plain_paths(self.prefix, page.keys)
            if paths is not None and self.filter.passes_over_none(paths) and self._collisions.check_all(paths):
                self._paths, self._modified = paths, page.modified
                yield list(zip(paths, page.sizes, page.etags, repeat(False), strict=False))
            else:
                yield self._one_by_one(page)

    def files(self, pages: Iterable[Entries]) -> Iterator[RemoteFile]:
        """As :meth:`runs`, one by one."""
        for run in self.runs(pages):
            yield from map(self.file, run)

    def file(self, version: Version) -> RemoteFile:
        """An object of the run that came last."""
        path, size, etag, _ = version
        modified = self._modified[bisect_left(self._paths, path)]
        return RemoteFile(RelativePath(path), size, ETag(etag), seconds(modified))

    def _one_by_one(self, page: Entries) -> list[Version]:
        run = list[Version]()
        self._paths, self._modified = [], []
        for entry, modified in zip(page.each(), page.modified, strict=True):
            path = self._path(entry)
            if isinstance(path, NameFault):
                self.quarantined(path)
            elif path is not None:
                run.append((path, entry.size, entry.etag, False))
                self._paths.append(path)
                self._modified.append(modified)
        return run

    def _path(self, entry: RemoteEntry) -> RelativePath | NameFault | None:
        path = path_for(self.prefix, entry)
        if path is None or isinstance(path, NameFault):
            return path
        below_root = path if self.directory == "." else f"{self.directory}/{path}"
        if below_root.split("/", 1)[0] == OWN_DIR:
            return NameFault(entry.key, f"{OWN_DIR} is data-sync's own directory")
        if self.filter.passes_over(path):
            return None
        return self._collisions.check(path) or path
