"""``explain PATH``: why one file is synced or isn't, in order of what decides about it.

Asks the settings, the file system, the index and, where it answers, the running sidecar; the bucket
only with ``--remote``. Changes nothing.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

from contract.mapping import Mapping
from contract.names import EXPORT_DIR
from contract.paths import contains
from sidecar.commands.scene import Scene, arrow, sends
from sidecar.errors import Quarantined, SyncError
from sidecar.plan import RemoteFile, plan_egress_of, plan_ingress
from sidecar.remote.keys import key_for, printable
from sidecar.remote.store import META_SHA256, META_WRITER, ObjectInfo
from sidecar.reporting.advice import advice
from sidecar.tree import Agreed, Fingerprint, LocalEntry, RelativePath

SYNCED, NOT_SYNCED = 0, 1


@dataclass(slots=True)
class Explain:
    """One answer. ``remote``: ask the bucket, too."""

    scene: Scene
    remote: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)

    def run(self, given: str) -> int:
        """Print it; :data:`SYNCED` where every mapping of the file has it in sync."""
        path = self._below_root(given)
        if path is None:
            self._say("path", f"{given!r} is not below {self.scene.settings.export_dir}")
            return NOT_SYNCED
        print(f"{self.scene.settings.export_dir}/{printable(path)}", file=self.out)
        local, seen = self._look(path)
        self._say("file", seen)
        if self.scene.notice:
            self._say("notice", self.scene.notice)
        mine = [mapping for mapping in self.scene.mappings if path != mapping.directory
                and contains(mapping.directory, path)]  # fmt: skip
        if not mine:
            known = ", ".join(arrow(mapping) for mapping in self.scene.mappings) or "none"
            self._say("mapping", f"no mapping has it (mappings: {known})")
            return NOT_SYNCED
        answers = [self._mapping(mapping, path, local) for mapping in mine]
        return SYNCED if all(answers) else NOT_SYNCED

    def _below_root(self, given: str) -> str | None:
        path = given
        for top in (self.scene.settings.export_dir, EXPORT_DIR):
            if given == top or given.startswith(top + "/"):
                path = given[len(top) :]
                break
        else:
            if given.startswith("/"):
                return None
        parts = [part for part in path.split("/") if part not in ("", ".")]
        return "/".join(parts) if parts and ".." not in parts else None

    def _look(self, path: str) -> tuple[Fingerprint | None, str]:
        try:
            path.encode()
            found = self.scene.root.look(path)
        except UnicodeEncodeError:
            return None, "its name is not UTF-8 and can be no key; rename it"
        except SyncError as error:
            return None, error.detail or str(error)
        if found is None:
            return None, "not on the device"
        return found, f"{found.size} bytes, changed {_time(found.mtime_ns / 1e9)}"

    def _mapping(self, mapping: Mapping, path: str, local: Fingerprint | None) -> bool:
        relative = RelativePath(path if mapping.directory == "." else path[len(mapping.directory) + 1 :])
        self._say("mapping", arrow(mapping))
        try:
            why = self.scene.filter(mapping).reason(relative)
            key = key_for(mapping.prefix, relative)
        except (SyncError, UnicodeEncodeError) as error:
            self._say("never" if isinstance(error, Quarantined) else "waits", str(error))
            return False
        self._say("object", printable(key))
        if why is not None:
            self._say("filter", f"left alone: {why}")
            return False
        self._say("filter", "let through")
        row = self.scene.index.get(self.scene.scope(mapping), relative)
        self._say("index", _agreed(row))
        info = self._ask(mapping, relative)
        synced, words = self._state(mapping, relative, local, row, info)
        self._say("state", words)
        self._running(mapping, path)
        return synced

    def _state(
        self,
        mapping: Mapping,
        path: RelativePath,
        local: Fingerprint | None,
        row: Agreed | None,
        info: ObjectInfo | None,
    ) -> tuple[bool, str]:
        if sends(mapping):
            return self._state_of_egress(path, local, row, info)
        if info is None:
            if row is None:
                return False, "nothing was fetched under this name; --remote asks whether there is an object"
            there = RemoteFile(path, row.remote_size, row.etag, 0.0)  # as it was seen last
        else:
            there = RemoteFile(path, info.size, info.etag, info.modified)
        seen = [LocalEntry(path, local)] if local is not None else []
        actions = list(plan_ingress(seen, [row] if row else [], [there], restore=mapping.restore))
        if actions:
            return False, "the next cycle fetches it, or compares it with what it has"
        if local is None:
            return True, "the workload deleted it, and the mapping says restore: false"
        edited = row is not None and local != row.local
        return True, "edited on the device while the bucket stood still: the edit stays" if edited else "in sync"

    def _state_of_egress(
        self, path: RelativePath, local: Fingerprint | None, row: Agreed | None, info: ObjectInfo | None
    ) -> tuple[bool, str]:
        if local is None:
            return False, "removed on the device; the object stays unless the mapping says delete: true" if row else (
                "there is nothing to send"
            )
        if list(plan_egress_of([(LocalEntry(path, local), row)], 0.0)):
            return False, "waits to be sent: " + ("it changed since it was sent" if row else "it was never sent")
        if self.remote and info is None:
            return False, "it was sent, and its object is gone: sent again at the next reconcile"
        if info is not None and row is not None and info.etag != row.etag:
            return False, "somebody else wrote the object since: settled at the next reconcile"
        return True, "in sync"

    def _ask(self, mapping: Mapping, path: RelativePath) -> ObjectInfo | None:
        if not self.remote:
            return None
        try:
            info = self.scene.store().head(key_for(mapping.prefix, path))
        except SyncError as error:
            self._say("bucket", f"cannot be asked: {error}")
            return None
        self._say("bucket", self._object(info))
        return info

    def _object(self, info: ObjectInfo | None) -> str:
        if info is None:
            return "no such object"
        record = self.scene.record
        writer = info.metadata.get(META_WRITER)
        ours = writer is not None and record is not None and writer == record.id
        by = "this directory" if ours else "another data-sync" if writer else "somebody else"
        sha256 = info.metadata.get(META_SHA256, "not noted")
        return f"{info.size} bytes, written {_time(info.modified)} by {by}, SHA-256 {sha256}"

    def _running(self, mapping: Mapping, path: str) -> None:
        """What the running sidecar says of the name, where it can be asked."""
        status = _status(self.scene.settings.listen)
        if status is None:
            self._say("sidecar", "none answers here")
            return
        if status.get("waiting_for"):
            self._say("sidecar", f"waits for {status['waiting_for']}")
        for entry in status.get("mappings", []):
            if (entry.get("direction"), entry.get("source"), entry.get("target")) != (
                mapping.direction.value,
                mapping.source,
                mapping.target,
            ):
                continue
            for failure in entry.get("failures", []):
                if failure.get("name") in (path, path[len(mapping.directory) + 1 :]):
                    reason = str(failure.get("reason"))
                    self._say("pending", f"{failure.get('error')} — {advice(reason).action}")
            for line in entry.get("quarantined", []):
                if str(line).startswith(f"{path}: "):
                    self._say("never", str(line))

    def _say(self, what: str, words: str) -> None:
        print(f"  {what:8} {words}", file=self.out)


def _agreed(row: Agreed | None) -> str:
    if row is None:
        return "nothing was agreed under this name yet"
    return f"agreed: {row.local.size} bytes, SHA-256 {row.sha256.hex()}, ETag {row.etag}"


def _status(listen: str) -> dict[str, Any] | None:
    port = listen.rpartition(":")[2]
    if not port.isdigit() or port == "0":
        return None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=3) as answer:
            body = json.load(answer)
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
