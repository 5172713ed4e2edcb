"""Multipart uploads under way, remembered across restarts: one small file each, a line for each part.

Only what stands here may be aborted by us: others use the same bucket. A line that a kill cut short
costs sending that part again. Nothing is flushed: after a power cut parts are sent again, no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sidecar.tree import ObjectKey

FORGET_AFTER: Final = 7 * 86400.0  # seconds that the memory of an upload to another place is kept


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload: its id at the server, what it is of, and the parts that are there (ETags by number)."""

    key: ObjectKey
    upload_id: str
    identity: str
    part_size: int
    parts: dict[int, str] = field(default_factory=dict)


class Uploads:
    """The uploads to one place (endpoint and bucket), kept in ``directory``. Thread-safe; one thread a key."""

    def __init__(self, directory: str, place: str) -> None:
        self._directory = directory
        self._place = place
        self._active: set[ObjectKey] = set()

    def find(self, key: ObjectKey) -> Begun | None:
        """The upload of ``key`` that was begun last, None where none is remembered."""
        return self._read(self._path(key))

    def begin(self, begun: Begun) -> None:
        """Remember ``begun`` in place of what was known of its key. A disk that refuses makes it forgettable."""
        head = {
            "place": self._place,
            "key": begun.key,
            "id": begun.upload_id,
            "identity": begun.identity,
            "part_size": begun.part_size,
        }
        with suppress(OSError):
            os.makedirs(self._directory, exist_ok=True)
            temporary = f"{self._path(begun.key)}.new"
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(json.dumps(head) + "\n")
            os.replace(temporary, self._path(begun.key))

    def add(self, key: ObjectKey, number: int, etag: str) -> None:
        """Part ``number`` is there."""
        with suppress(OSError):
            fd = os.open(self._path(key), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(fd, (json.dumps([number, etag]) + "\n").encode())
            finally:
                os.close(fd)

    def forget(self, key: ObjectKey) -> None:
        """The upload of ``key`` is complete or aborted."""
        with suppress(OSError):
            os.unlink(self._path(key))

    @contextmanager
    def working_on(self, key: ObjectKey) -> Iterator[None]:
        """While inside, the upload of ``key`` is not abandoned."""
        self._active.add(key)
        try:
            yield
        finally:
            self._active.discard(key)

    def abandoned(self, prefix: str, before: float) -> list[Begun]:
        """Uploads below ``prefix`` that nobody works on, or has since ``before`` (seconds since the epoch)."""
        found = []
        with suppress(OSError):
            for name in os.listdir(self._directory):
                path = f"{self._directory}/{name}"
                touched = os.stat(path).st_mtime
                begun = self._read(path)
                if begun is None and time.time() - touched > FORGET_AFTER:
                    os.unlink(path)  # of another place, or half written: nothing of ours can be ended there
                if begun is None or begun.key in self._active or touched >= before:
                    continue
                if begun.key.startswith(prefix):
                    found.append(begun)
        return found

    def _path(self, key: ObjectKey) -> str:
        name = hashlib.sha256(f"{self._place}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return f"{self._directory}/{name}"

    def _read(self, path: str) -> Begun | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            with open(path, encoding="utf-8") as file:
                head = json.loads(next(file, ""))
                begun = Begun(head["key"], head["id"], head["identity"], int(head["part_size"]))
                with suppress(ValueError, TypeError):
                    for line in file:
                        number, etag = json.loads(line)
                        begun.parts[int(number)] = str(etag)
            return begun if head["place"] == self._place else None
        return None
