"""``verify``: both sides compared by content, file by file; nothing is changed.

A SHA-256 in an object's metadata is believed where this directory's sidecar wrote it with that very
object; every other object is read whole, and with ``--bodies`` all are.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TextIO

from contract.mapping import Mapping
from sidecar.commands.bar import Bar
from sidecar.commands.scene import Scene, arrow, sends
from sidecar.errors import ChangedWhileReading, SyncError
from sidecar.local import files
from sidecar.local.notices import Notice, Passed
from sidecar.plan import RemoteFile, aligned
from sidecar.remote.keys import key_for, printable
from sidecar.remote.store import META_SHA256, META_WRITER, ObjectInfo
from sidecar.transfer.publish import is_conflict_copy
from sidecar.tree import LocalEntry, NameFault

SAME, DIFFERENT = 0, 1
_AT_ONCE: Final = 8
_NOTHING: Final[tuple[LocalEntry, ...]] = ()


@dataclass(slots=True)
class _Count:
    compared: int = 0
    differences: int = 0


@dataclass(slots=True)
class Verify:
    """One run. ``bodies``: read every object; ``one_way``: what only the receiving side has is no difference."""

    scene: Scene
    bodies: bool = False
    one_way: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _total: _Count = field(default_factory=_Count)

    def run(self) -> int:
        """Compare everything, print what differs; :data:`SAME` or :data:`DIFFERENT`."""
        for mapping in self.scene.mappings:
            try:
                self._mapping(mapping)
            except SyncError as error:
                self._differs(mapping, ".", f"not compared to the end: {error}")
        total = self._total
        print(f"{total.compared} files compared, {total.differences} differences", file=self.out)
        return DIFFERENT if total.differences else SAME

    def _mapping(self, mapping: Mapping) -> None:
        filter_ = self.scene.filter(mapping)
        here = self.scene.here(mapping, filter_, lambda notice: self._notice(mapping, notice))
        there = self.scene.there(mapping, filter_, lambda fault: self._fault(mapping, fault))
        bar = Bar(self.err, self.scene.index.count(self.scene.scope(mapping)))
        flying: deque[tuple[str, Future[str | None]]] = deque()
        done = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for path, local, _, remote in aligned(here, _NOTHING, there):
                if local is None or remote is None:
                    self._alone(mapping, path, remote)
                    continue
                flying.append((path, pool.submit(self._compare, mapping, local, remote)))
                if len(flying) >= _AT_ONCE * 2:
                    done += self._land(mapping, flying, bar)
                bar.show(done, f"compared, {self._total.differences} differences")
            while flying:
                done += self._land(mapping, flying, bar)
                bar.show(done, f"compared, {self._total.differences} differences")
        bar.clear()

    def _land(self, mapping: Mapping, flying: deque[tuple[str, Future[str | None]]], bar: Bar) -> int:
        path, future = flying.popleft()
        difference = future.result()
        self._total.compared += 1
        if difference is not None:
            bar.clear()
            self._differs(mapping, path, difference)
        return 1

    def _compare(self, mapping: Mapping, local: LocalEntry, remote: RemoteFile) -> str | None:
        """How the two differ, or None."""
        if local.fingerprint.size != remote.size:
            return f"{local.fingerprint.size} bytes on the device, {remote.size} in the bucket"
        try:
            here = self._local_hash(mapping, local)
            there = self._remote_hash(mapping, remote)
        except FileNotFoundError:
            return "the file was removed meanwhile"
        except SyncError as error:
            return f"not compared: {error}"
        return None if here == there else "same size, other content"

    def _local_hash(self, mapping: Mapping, local: LocalEntry) -> str:
        path = self.scene.below_root(mapping, local.path)
        with self.scene.root.open_file(path) as fd:
            before = files.look(fd, path)
            sha256 = files.hash_file(fd, path, before.size, lambda: None)
            if files.look(fd, path) != before or before.size != local.fingerprint.size:
                raise ChangedWhileReading("compare", path, "it is being written")
        return sha256.hex()

    def _remote_hash(self, mapping: Mapping, remote: RemoteFile) -> str:
        key, store = key_for(mapping.prefix, remote.path), self.scene.store()
        info = None if self.bodies else store.head(key)
        if info is not None and info.etag == remote.etag and self._ours(info):
            return info.metadata[META_SHA256]
        digest = hashlib.sha256()
        with store.get(key, remote.etag) as download:
            for chunk in download.chunks:
                digest.update(chunk)
        return digest.hexdigest()

    def _ours(self, info: ObjectInfo) -> bool:
        record = self.scene.record
        return record is not None and info.metadata.get(META_WRITER) == record.id and META_SHA256 in info.metadata

    def _alone(self, mapping: Mapping, path: str, remote: RemoteFile | None) -> None:
        """Only one side has ``path``; copies that the sidecar kept of a conflict are meant to be alone."""
        received = (remote is not None) == sends(mapping)
        if is_conflict_copy(path) or (received and self.one_way):
            return
        self._differs(mapping, path, "only on the device" if remote is None else "only in the bucket")

    def _notice(self, mapping: Mapping, notice: Notice) -> None:
        if notice.why is Passed.SPECIAL or (notice.why is Passed.MISSING and not sends(mapping)):
            return
        self._differs(mapping, notice.name, notice.detail)

    def _fault(self, mapping: Mapping, fault: NameFault) -> None:
        self._differs(mapping, fault.name, fault.why)

    def _differs(self, mapping: Mapping, path: str, how: str) -> None:
        self._total.differences += 1
        print(f"{arrow(mapping)}: {printable(path)}: {how}", file=self.out)
