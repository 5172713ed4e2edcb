"""A tree of very many files as it is after its first egress, without the hour that sending them takes in every run.

The objects are the server's own doing, the files are real, and the index gets the rows that the sidecar would have
written, but for hashes, which nobody asks for while nothing changes. What runs then takes all for its own.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from benchmarks import trees
from benchmarks.daemon import Daemon
from benchmarks.programs import Job
from benchmarks.servers import NullServer

SIZE: Final = 1  # byte of each file
_ENTRY: Final = re.compile(r"<Key>files/([^<]+)</Key>.*?<ETag>(?:&quot;|\")?([^<&\"]+)")
_TOKEN: Final = re.compile(r"<NextContinuationToken>([^<]+)<")
_INSERT: Final = "INSERT INTO agreed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)"


def synced(server: NullServer, bucket: str, job: Job, count: int, log: Path) -> None:
    """``count`` files of one byte below the job's directory, their objects, and an index that knows both."""
    with Daemon(job, log, "1s"):
        pass  # it has made the index, empty as yet
    server.fill(bucket, count, SIZE)
    trees.small(job.directory / "files", count, SIZE)
    with closing(sqlite3.connect(job.directory / ".data-sync" / "index")) as index, index:
        (scope,) = index.execute("SELECT id FROM scope").fetchone()
        index.executemany(_INSERT, (_row(scope, job, *object_) for object_ in _objects(server, bucket)))


def _objects(server: NullServer, bucket: str) -> Iterator[tuple[str, str]]:
    """Path and ETag of each."""
    target = f"/{bucket}?list-type=2&prefix=files/"
    more = ""
    while True:
        page = server.get(target + more)
        yield from _ENTRY.findall(page)
        token = _TOKEN.search(page)
        if token is None:
            return
        more = f"&continuation-token={quote(token[1], safe='')}"


def _row(scope: int, job: Job, path: str, etag: str) -> tuple[object, ...]:
    seen = os.lstat(f"{job.local}{path}")
    local = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
    return (scope, path, *local, bytes(32), etag, SIZE)
