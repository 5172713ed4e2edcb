"""Multipart uploads under way, remembered across restarts: one small file each, a line for each part.

Only what stands here may be aborted by us: others use the same bucket. Before an upload is begun stands
here that it will be (an intent), since its id is known only once it exists; ``orphans.py`` looks for what
an intent left behind. Both are flushed. The lines of parts are not: one that a kill or a power cut took
costs sending that part again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

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


class Intent(NamedTuple):
    """An upload of ``key`` was to be begun, from ``since`` to ``last`` (seconds since the epoch, our clock)."""

    key: ObjectKey
    since: float
    last: float


class Uploads:
    """The uploads to one place (endpoint and bucket), kept in ``directory``. Thread-safe; one thread a key."""

    def __init__(self, directory: str, place: str) -> None:
        self._directory = directory
        self._place = place
        self._active: set[ObjectKey] = set()

    def find(self, key: ObjectKey) -> Begun | None:
        """The upload of ``key`` that was begun last, None where none is remembered."""
        return self._begun(self._path(key))

    def intent(self, key: ObjectKey) -> Intent | None:
        """That an upload of ``key`` was to be begun and nothing is known of it, None where that is not so."""
        return self._intent(self._path(key))

    def intend(self, key: ObjectKey) -> Intent:
        """An upload of ``key`` is about to be begun; what was intended before and is not settled is so still."""
        now = time.time()
        before = self.intent(key)
        intent = Intent(key, before.since if before else now, now)
        self._write(key, {"since": intent.since, "last": intent.last})
        return intent

    def begin(self, begun: Begun) -> None:
        """Remember ``begun`` in place of what was known of its key. A disk that refuses makes it forgettable."""
        self._write(begun.key, {"id": begun.upload_id, "identity": begun.identity, "part_size": begun.part_size})

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
        path = self._path(key)
        for name in (path, f"{path}.new"):  # a kill may have left the second one
            with suppress(OSError):
                os.unlink(name)

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
        found = [self._begun(path) for path in self._untouched(before)]
        return [one for one in found if one is not None and self._left(one.key, prefix)]

    def intents(self, prefix: str, before: float) -> list[Intent]:
        """Likewise the intents."""
        found = [self._intent(path) for path in self._untouched(before)]
        return [one for one in found if one is not None and self._left(one.key, prefix)]

    def _left(self, key: ObjectKey, prefix: str) -> bool:
        return key.startswith(prefix) and key not in self._active

    def _untouched(self, before: float) -> list[str]:
        found = []
        with suppress(OSError):
            for name in os.listdir(self._directory):
                path = f"{self._directory}/{name}"
                touched = os.stat(path).st_mtime
                if time.time() - touched > FORGET_AFTER and self._begun(path) is None:
                    os.unlink(path)  # of another place, half written, or an intent that no server would settle
                elif touched < before:
                    found.append(path)
        return found

    def _path(self, key: ObjectKey) -> str:
        name = hashlib.sha256(f"{self._place}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return f"{self._directory}/{name}"

    def _write(self, key: ObjectKey, told: dict[str, str | float]) -> None:
        path = self._path(key)
        with suppress(OSError):
            os.makedirs(self._directory, exist_ok=True)
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                file.write(json.dumps({"place": self._place, "key": key, **told}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{path}.new", path)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _intent(self, path: str) -> Intent | None:
        with suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="utf-8") as file:
            head = json.loads(next(file, ""))
            intent = Intent(head["key"], float(head["since"]), float(head["last"]))
            return intent if head["place"] == self._place else None
        return None

    def _begun(self, path: str) -> Begun | None:
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
