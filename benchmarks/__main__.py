"""``make bench``: our sidecar and its peers, alternating, on the same SeaweedFS server and equal files.

Wall and CPU seconds (user and system, of the whole process); the table gives ratios to the best peer.
Figures of one run compare with each other only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.programs import PROGRAMS, Job
from benchmarks.report import Row, write
from demo.s3server import S3Server

BODY = 4096
OURS = "data-sync"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, in seconds."""

    wall: float
    cpu: float


def measure(job: Job, name: str) -> Cost:
    """Run one program once.

    Raises:
        RuntimeError: it failed; a failed run is no figure.
    """
    command, env = PROGRAMS[name](job)
    log = job.directory / "log"
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}: {log.read_text()[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def fill(directory: Path, count: int) -> None:
    """``count`` files of 4 KiB, a hundred in a directory, all different."""
    for number in range(count):
        target = directory / f"files/{number // 100:04}/{number:06}"
        if number % 100 == 0:
            target.parent.mkdir(parents=True)
        target.write_bytes(number.to_bytes(8, "big") * (BODY // 8))


def rounds(server: S3Server, count: int, name: str) -> Iterator[tuple[str, Cost]]:
    """First egress, nothing changed, 1 % changed, first ingress: one program, a fresh bucket."""
    bucket = "bench-" + name.replace(",", "").replace(" ", "-")
    server.create_bucket(bucket)
    top = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        up, down = top / "up", top / "down"
        fill(up, count)
        (down / "files").mkdir(parents=True)
        job = Job(True, up, "files", server.storage(bucket), server.storage_files(bucket))
        yield "first egress", measure(job, name)
        yield "nothing changed", measure(job, name)
        for number in range(0, count, 100):
            (up / f"files/{number // 100:04}/{number:06}").write_bytes(b"changed!" * (BODY // 8))
        yield "1 % changed", measure(job, name)
        yield "first ingress", measure(Job(False, down, "files", job.storage, job.files), name)
        assert sum(1 for path in (down / "files").rglob("*") if path.is_file()) == count, f"{name} brought all"
    finally:
        shutil.rmtree(top, ignore_errors=True)
        server.delete_bucket(bucket)


def main() -> None:
    """Measure, print and write ``RESULTS.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    costs: dict[tuple[str, str], list[Cost]] = {}
    with S3Server() as server:
        for number in range(options.repeat):
            for name in PROGRAMS:
                for workload, cost in rounds(server, options.files, name):
                    costs.setdefault((workload, name), []).append(cost)
                    print(
                        f"round {number + 1}  {workload:16} {name:20} {cost.wall:7.2f} s {cost.cpu:7.2f} s CPU",
                        flush=True,
                    )
    rows = [
        Row(workload, name, median(one.wall for one in found), median(one.cpu for one in found))
        for (workload, name), found in costs.items()
    ]
    print(write(rows, options.files, options.repeat, OURS))


if __name__ == "__main__":
    main()
