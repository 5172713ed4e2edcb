"""After all has settled: what must hold. Each function returns what does not, in words."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.torture import contents
from tests.torture.ledger import Ledger
from tests.torture.strangers import SOURCE, TARGET, Bucket


def files_below(top: Path) -> Iterator[tuple[str, Path]]:
    """Regular files with their paths below ``top``."""
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(top)), path


class Sides:
    """Both sides compared; bodies are fetched once a version."""

    def __init__(self, export: Path, bucket: Bucket) -> None:
        self.export = export
        self.bucket = bucket
        self._hashes: dict[tuple[str, str], str] = {}

    def unsent(self) -> list[str]:
        """Files whose last content is not the object's."""
        listed = self.bucket.etags(f"{TARGET}/")
        return [
            f"not in the bucket: {path}"
            for path, file in files_below(self.export / "out")
            if self._hash(key := f"{TARGET}/{path}", listed.get(key)) != _sha256(file.read_bytes())
        ]

    def unfetched(self) -> list[str]:
        """Objects whose content is not the file's; an edit since the object came is the workload's right."""
        listed = self.bucket.etags(f"{SOURCE}/")
        return [f"not on the disk: {key}" for key, etag in listed.items() if not self._is_there(key, etag)]

    def _is_there(self, key: str, etag: str) -> bool:
        try:
            body = (self.export / "in" / key.removeprefix(f"{SOURCE}/")).read_bytes()
        except FileNotFoundError:
            return False
        found = contents.read_whole(body)
        edited = found is not None and (found.name.startswith("edit-") or bool(found.notes))
        return edited or self._hash(key, etag) == _sha256(body)

    def _hash(self, key: str, etag: str | None) -> str | None:
        if etag is None:
            return None
        if (key, etag) not in self._hashes:
            body = self.bucket.get(key)
            self._hashes[key, etag] = _sha256(body) if body is not None else ""
        return self._hashes[key, etag]


def lost(export: Path, bucket: Bucket, ledger: Ledger) -> list[str]:
    """Contents that nobody but the sidecar can have destroyed."""
    bodies = [path.read_bytes() for top in ("in", ".data-sync/lost") for _, path in files_below(export / top)]
    bodies += [bucket.get(key) or b"" for key in bucket.etags(f"{TARGET}/whole/")]
    found: set[str] = set()
    for body in bodies:
        if (one := contents.read_whole(body)) is not None:
            found |= {one.name, *one.notes}
    return [f"lost: {name}, written at {where}" for name, where in ledger.alive().items() if name not in found]


def left_over(export: Path, bucket: Bucket) -> list[str]:
    """What a sidecar that has settled must have cleaned up, and what must never have been sent."""
    found = [f"staged: {path}" for path, _ in files_below(export / ".data-sync/staging")]
    found += [f"upload never ended: {upload['Key']}" for upload in bucket.uploads()]
    if (broken := export / ".data-sync/index.broken").exists():
        found.append(f"{broken.name} is there")
    return found


def inconsistent(export: Path, bucket: Bucket) -> list[str]:
    """Rows of the index that do not describe both sides as they are."""
    with closing(sqlite3.connect(export / ".data-sync/index")) as index:
        (verdict,) = index.execute("PRAGMA integrity_check").fetchone()
        rows = index.execute("SELECT identity, path, size, etag FROM agreed JOIN scope ON scope.id = scope").fetchall()
        held = index.execute("SELECT path FROM held").fetchall()
    found = [] if verdict == "ok" else [f"index: {verdict}"]
    found += [f"index still holds {path}" for (path,) in held]
    egress = {path: (size, etag) for identity, path, size, etag in rows if "\negress\n" in f"\n{identity}\n"}
    listed = bucket.etags(f"{TARGET}/")
    for path, file in files_below(export / "out"):
        row, etag = egress.get(path), listed.get(f"{TARGET}/{path}", "").strip('"')
        if row != (file.stat().st_size, etag):
            found.append(f"index row of {path}: {row}, not {(file.stat().st_size, etag)}")
    return found


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
