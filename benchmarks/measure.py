"""Run a command and say what it took: wall and CPU seconds, peak memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOOK: Final = 25  # ms between two looks at the memory of a running program
LONGEST: Final = 300.0  # seconds; a program that takes longer is ended, and its row is not measured


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall clock and of CPU (user and system, with children), MiB of memory at most."""

    wall: float
    cpu: float
    rss: float


def run(command: list[str], env: Mapping[str, str], log: Path) -> Cost:
    """Run ``command`` once; what is not yet on the disk from before is written first, outside the time.

    Raises:
        RuntimeError: it failed; a failed run is no figure.
    """
    os.sync()
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, stdout=output, stderr=output)
        rss = _peak_until_end(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, rss)


def peak_rss(pid: int) -> float:
    """MiB that the process held at most so far; 0 when it is over."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def _peak_until_end(pid: int) -> float:
    # Not ru_maxrss: it starts at the size of the process that forked, which is this one.
    watched, peak, end = select.poll(), 0.0, time.monotonic() + LONGEST
    descriptor = os.pidfd_open(pid)
    try:
        watched.register(descriptor, select.POLLIN)
        while not watched.poll(_LOOK):
            peak = max(peak, peak_rss(pid))
            if time.monotonic() > end:  # it stands still; its status then says that it was ended
                os.kill(pid, signal.SIGKILL)
    finally:
        os.close(descriptor)
    return peak
