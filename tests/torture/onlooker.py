"""Looks at what applications and strangers can see while all goes on: nothing half-written, nothing of ours.

Its eyes are those of a reader: it opens what has a name and reads it. Files below ``in`` are always
whole, since whoever writes there does so at once; objects below the egress prefix are states that
their files had.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.torture import contents
from tests.torture.ledger import Ledger
from tests.torture.strangers import KEYS, TARGET, Bucket

_OF_THE_TREE = {"in", "out", "scratch", ".data-sync"}


class Onlooker:
    """See the module. :meth:`look_at_files` and :meth:`look_at_objects` each belong to one thread."""

    def __init__(self, export: Path, bucket: Bucket, ledger: Ledger) -> None:
        self._export = export
        self._bucket = bucket
        self._ledger = ledger
        self._seen: dict[str, tuple[int, ...]] = {}
        self._etags: dict[str, str] = {}
        self.looked_at = 0

    def look_at_files(self, _rng: object = None) -> None:
        """Every file that ingress brings, and every name in the exported directory."""
        if stray := set(os.listdir(self._export)) - _OF_THE_TREE:
            self._ledger.violated(f"names in the exported directory: {sorted(stray)}")
        for directory, _, names in os.walk(self._export / "in"):
            for name in names:
                self._look(os.path.join(directory, name))

    def look_at_objects(self, _rng: object = None) -> None:
        """Every object that egress sent, once a version."""
        for key, etag in self._bucket.etags(f"{TARGET}/").items():
            if self._etags.get(key) != etag and (body := self._bucket.get(key)) is not None:
                self._etags[key] = etag
                self.looked_at += 1
                if not is_a_state(key, body):
                    self._ledger.violated(f"torn object {key}: {body[:60]!r} … {len(body)} bytes")

    def _look(self, path: str) -> None:
        shown = os.path.relpath(path, self._export / "in")
        if shown.split(".conflict-")[0] not in (*KEYS, "large"):
            self._ledger.violated(f"a name that nobody gave: {shown}")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._seen.get(path) == version:
                return
            body = file.read()
        self._seen[path] = version
        self.looked_at += 1
        if not stat.S_ISREG(status.st_mode) or contents.read_whole(body) is None:
            self._ledger.violated(f"half a file: {shown}: {body[:60]!r} … {len(body)} bytes")


def is_a_state(key: str, body: bytes) -> bool:
    """Whether the file sent as ``key`` was ever like this."""
    kind = key.removeprefix(f"{TARGET}/").split("/")[0]
    if kind == "streams":
        return contents.is_stream(body)
    if kind == "stamps":
        return contents.is_stamps(body)
    if kind == "beginnings":
        return contents.is_beginning(body)
    if kind == "mapped":
        return True  # a write to a page that is dirty already leaves no trace to go by; the end counts
    return contents.read_whole(body) is not None
