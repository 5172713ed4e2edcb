"""What a command has before it: settings, mappings as they are in force, storage, index, record. Read only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contract.mapping import Direction, Mapping
from contract.storage import Storage
from sidecar.errors import Misconfigured
from sidecar.link import Opened, OpenStore
from sidecar.local.directories import Root
from sidecar.local.notices import Report
from sidecar.local.scan import walk
from sidecar.mounted import Podinfo, StorageFiles, Waiting
from sidecar.plan import RemoteFile
from sidecar.remote.keys import Collisions, listing_prefix, path_for
from sidecar.remote.order import sort_entries
from sidecar.remote.store import ObjectStore
from sidecar.selection.filtering import Filter, ignore_path, read_ignore_file
from sidecar.settings import Settings
from sidecar.state.index import Scope
from sidecar.state.index_reader import IndexReader
from sidecar.state.ownership import OwnerRecord, read_record
from sidecar.tree import LocalEntry, NameFault

OnFault = Callable[[NameFault], None]


@dataclass(slots=True)
class Scene:
    """See the module; close it when done."""

    settings: Settings
    mappings: tuple[Mapping, ...]
    notice: str | None  # what is wrong with the mappings as they were edited last
    storage: Storage | Waiting
    record: OwnerRecord | None
    index: IndexReader
    root: Root
    open_store: OpenStore
    _opened: Opened | None = None

    def close(self) -> None:
        """Let all go."""
        self.index.close()
        self.root.close()
        if self._opened is not None:
            self._opened.close()

    def store(self) -> ObjectStore:
        """The bucket.

        Raises:
            Misconfigured: it is not configured completely.
        """
        if isinstance(self.storage, Waiting):
            raise Misconfigured("open", "the bucket", self.storage.reason)
        if self._opened is None:
            self._opened = self.open_store(self.storage, self.settings.spec.credentials)
        return self._opened.store

    def scope(self, mapping: Mapping) -> int | None:
        """Under which number the index has ``mapping``; None where it has nothing of it."""
        if isinstance(self.storage, Waiting) or self.record is None:
            return None
        return self.index.scope(Scope(self.storage.endpoint, self.storage.bucket, mapping, self.record.id))

    def filter(self, mapping: Mapping) -> Filter:
        """What ``mapping`` leaves alone.

        Raises:
            IgnoreFileUnusable: its ignore file cannot be used.
        """
        return Filter(mapping, read_ignore_file(self.root, ignore_path(mapping)))

    def here(self, mapping: Mapping, filter_: Filter, report: Report) -> Iterator[LocalEntry]:
        """The device's side."""
        return walk(self.root, mapping.directory, report, filter_.kept)

    def there(self, mapping: Mapping, filter_: Filter, on_fault: OnFault) -> Iterator[RemoteFile]:
        """The bucket's side, in order whatever order the server has."""
        collisions = Collisions()
        listed = sort_entries(iter(self.store().list(listing_prefix(mapping.prefix))), self._spill_dir())
        for entry in listed:
            path = path_for(mapping.prefix, entry)
            if isinstance(path, NameFault):
                on_fault(path)
            elif path is not None and not filter_.passes_over(path):
                fault = collisions.check(path)
                if fault is None:
                    yield RemoteFile(path, entry.size, entry.etag, entry.modified)
                else:
                    on_fault(fault)

    def below_root(self, mapping: Mapping, path: str) -> str:
        """``path`` of ``mapping`` below the exported directory."""
        return path if mapping.directory == "." else f"{mapping.directory}/{path}"

    def _spill_dir(self) -> str:
        """Where a listing is sorted that is too long for memory: files without a name, gone with this process."""
        state = self.settings.state_dir
        return state if os.access(state, os.W_OK) else "/tmp"  # noqa: S108 - nameless files


def set_scene(settings: Settings, open_store: OpenStore) -> Scene:
    """Look at everything once.

    Raises:
        SyncError: the exported directory, its record or its index cannot be read.
    """
    podinfo = Podinfo(settings)
    podinfo.refresh()
    root = Root(settings.export_dir)
    try:
        return Scene(
            settings,
            podinfo.mappings,
            podinfo.fault,
            StorageFiles(settings).read(),
            read_record(settings.state_dir),
            IndexReader(f"{settings.state_dir}/index"),
            root,
            open_store,
        )
    except BaseException:
        root.close()
        raise


def arrow(mapping: Mapping) -> str:
    """``mapping`` in a few characters."""
    return f"{mapping.direction.value} {mapping.source} → {mapping.target}"


def sends(mapping: Mapping) -> bool:
    """Whether files of ``mapping`` go to the bucket."""
    return mapping.direction is Direction.EGRESS
