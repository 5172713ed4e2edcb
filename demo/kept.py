"""A demo that was left running: which processes it is made of, and how to end them.

A process is known by its number and the moment it started, so that a number which the system gave to
another program since is never killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / ".demo"
_RECORD = "processes.json"


def remember(directory: Path, pids: Iterable[int]) -> None:
    """Write down in ``directory`` that these processes belong to it, and lead groups of their own."""
    (directory / _RECORD).write_text(json.dumps({str(pid): _started(pid) for pid in pids}))


def stop(directory: Path) -> int:
    """Kill what is left of the demo in ``directory``, remove it, and return how many processes there were."""
    killed = 0
    with contextlib.suppress(FileNotFoundError):
        record: dict[str, str | None] = json.loads((directory / _RECORD).read_text())
        for pid, started in record.items():
            if started is not None and _started(int(pid)) == started:
                os.killpg(int(pid), signal.SIGKILL)
                killed += 1
    shutil.rmtree(directory, ignore_errors=True)
    return killed


def _started(pid: int) -> str | None:
    """The kernel's clock tick at which ``pid`` started, or None where it does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
