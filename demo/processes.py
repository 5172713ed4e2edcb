"""Programs that the demo starts: their output in a file, their end in time.

Each leads a process group of its own, so that Ctrl-C reaches the demo alone, which then ends them in
its own order. Neighbours: ``runner`` and ``webhook`` start programs through this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class Process:
    """A running program; ``log`` is the file that its output goes to."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**_image_env(), **env},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's number; its group has the same."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs after ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stop(self, seconds: float) -> int:
        """Ask it to end (SIGTERM), kill its group after ``seconds``; again is fine. Returns the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            self.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


def program(words: Sequence[str]) -> list[str]:
    """``words`` with ``python`` meaning this interpreter, as in the image it means the image's."""
    at = 0
    if words[0] == "env":  # starts the program that follows its options
        at = next(number for number, word in enumerate(words) if number and not word.startswith("-"))
    called = sys.executable if words[at] in ("python", "python3") else words[at]
    return [*words[:at], called, *words[at + 1 :]]


def _image_env() -> dict[str, str]:
    """What an image's ENV would give, and nothing of this process's: least of all credentials."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}
