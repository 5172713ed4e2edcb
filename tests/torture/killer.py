"""Starts sidecars and kills them, at moments that the seed chooses."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HOLDS: Final = b"this sidecar syncs the directory"
START_SECONDS: Final = 60.0


@dataclass
class Sidecar:
    """One process; its log is a file of its own."""

    log: Path
    process: subprocess.Popen[bytes]

    def says(self, words: bytes, within: float) -> bool:
        """Whether the log had ``words`` before ``within`` seconds went by, or the process ended."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if words in self.log.read_bytes():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        return False

    def end(self, number: signal.Signals) -> int:
        """Send ``number`` and wait; the exit code, negative for a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)


@dataclass
class Killer:
    """``env`` is the sidecars'; ``logs`` the directory that keeps the last words of each."""

    env: dict[str, str]
    logs: Path
    kills: int = 0
    stops: int = 0
    complaints: list[str] = field(default_factory=list)
    _running: list[Sidecar] = field(default_factory=list)
    _started: int = 0

    def start(self) -> Sidecar:
        """One more process on the directory."""
        self._started += 1
        path = self.logs / f"sidecar-{self._started:04}.log"
        with path.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "sidecar"], env=self.env, stderr=log)
        sidecar = Sidecar(path, process)
        self._running.append(sidecar)
        return sidecar

    def strike(self, rng: random.Random) -> None:
        """Start one, sometimes two; let them work for a while; end them, hardly ever in peace."""
        sidecars = [self.start() for _ in range(1 + (rng.random() < 0.15))]
        if rng.random() < 0.8:  # at work; else anywhere, its start included
            _one_of_them_works(sidecars)
        time.sleep(rng.choice((0.05, 0.3, 1.0, 2.5)) * rng.random())
        for sidecar in sidecars:
            if rng.random() < 0.9:
                sidecar.end(signal.SIGKILL)
                self.kills += 1
            else:
                self.stops += 1
                if (code := sidecar.end(signal.SIGTERM)) not in (0, -signal.SIGTERM):  # not yet listening to it
                    self.complaints.append(f"{sidecar.log.name}: SIGTERM ended it with {code}")
            self._gone(sidecar)

    def close(self) -> None:
        """Leave nothing running."""
        for sidecar in list(self._running):
            sidecar.end(signal.SIGKILL)
            self._gone(sidecar)

    def _gone(self, sidecar: Sidecar) -> None:
        self._running.remove(sidecar)
        text = sidecar.log.read_bytes()
        for word in (b"Traceback", b'"internal"', b"internal error", b"unexpectedly", b"set aside", b"unknown origin"):
            if word in text:
                self.complaints.append(f"{sidecar.log.name} says {word.decode()}")
                return
        if self._started % 50:  # the disk is not endless; keep all that complain, and some of the others
            os.truncate(sidecar.log, min(len(text), 20_000))


def _one_of_them_works(sidecars: list[Sidecar]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and not any(HOLDS in sidecar.log.read_bytes() for sidecar in sidecars):
        time.sleep(0.01)
