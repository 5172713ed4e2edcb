"""The stand-in for ``stats-collector``: this machine's real statistics, one file a second and source.

A workload like any other: it writes plain files and knows nothing of buckets. Started with
its directory as the only argument; SIGTERM ends it between two files.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from runtime.shutdown import Shutdown

SOURCES = ("stat", "meminfo", "loadavg")
_SECONDS = 1.0


def write_once(directory: Path, now: datetime) -> list[Path]:
    """Write what the kernel says right now of each source, under the time; return the files."""
    written = []
    for source in SOURCES:
        target = directory / source / f"{now:%Y-%m-%dT%H-%M-%S}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path("/proc", source).read_bytes())
        written.append(target)
    return written


def main(directory: Path) -> None:
    """Write until asked to stop."""
    shutdown = Shutdown(grace=_SECONDS)
    shutdown.install()
    while not shutdown.requested:
        write_once(directory, datetime.now(UTC))
        shutdown.wait(_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
