"""Our sidecar as a daemon, looked at from outside: CPU from the scheduler's own count, memory from /proc."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.measure import peak_rss
from benchmarks.programs import Job, environment

_PATIENCE: Final = 3600.0  # seconds: the first egress of a million files takes its time

_LISTENING: Final = re.compile(rb'"message": "listening".*"port": (\d+)')


class Daemon:
    """``python -m sidecar`` with a job; ended when the block is left."""

    def __init__(self, job: Job, log: Path, interval: str, **env: str) -> None:
        self._env = environment(
            job, DATA_SYNC_LISTEN="127.0.0.1:0", DATA_SYNC_INTERVAL=interval, DATA_SYNC_LOG_LEVEL="DEBUG", **env
        )  # idle cycles are told of at DEBUG, and are counted here
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._read = 0  # bytes of the log
        self._ended = 0  # cycles
        self.seconds_to_first_cycle = 0.0

    def __enter__(self) -> Self:
        """Started, and its first cycle complete."""
        started = time.monotonic()
        with self._log.open("wb") as log:
            env = {"PATH": os.environ["PATH"], **self._env}
            self._process = subprocess.Popen([sys.executable, "-m", "sidecar"], env=env, stdout=log, stderr=log)
        try:
            self._wait(self._listening, 0.005)
            self._wait(lambda: self._cycles_ended() >= 1, 0.005)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.seconds_to_first_cycle = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    def status(self) -> dict[str, Any]:
        """``/status``."""
        found: dict[str, Any] = json.loads(self._get("/status"))
        return found

    def metric(self, series: str) -> float:
        """The value of one series; 0 where it is absent."""
        for line in self._get("/metrics").splitlines():
            if line.startswith(f"data_sync_{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def cpu(self) -> float:
        """CPU seconds so far, to the nanosecond, of all threads that still run."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def rss(self) -> float:
        """MiB in memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the sidecar has ended")

    def peak(self) -> float:
        """MiB in memory at most since the start or the last :meth:`forget_peak`."""
        return peak_rss(self.pid)

    def forget_peak(self) -> None:
        """Count the peak anew from here."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cycles(self, count: int) -> tuple[float, float]:
        """CPU seconds of one cycle and wall seconds within it, over ``count`` cycles from one's end to another's."""
        first = self._cycle_end(1)
        cpu, wall = self.cpu(), self.in_cycles()
        last = self._cycle_end(count)
        return (self.cpu() - cpu) / (last - first), (self.in_cycles() - wall) / (last - first)

    def settle(self) -> None:
        """Until no cycle is under way."""
        self._wait(lambda: not any(one["syncing"] for one in self.status()["mappings"]), 0.02)

    def wait_for_sent(self, count: int) -> None:
        """Until so many files have been sent."""
        self._wait(lambda: self.metric('files_transferred_total{direction="egress"}') >= count, 0.05)
        self.settle()

    def in_cycles(self) -> float:
        """Seconds spent within cycles so far."""
        return sum(self.metric(f'cycle_duration_seconds_sum{{direction="{way}"}}') for way in ("egress", "ingress"))

    def _cycle_end(self, more: int) -> int:
        """How many cycles have ended, once it is so many more; read from the log, which costs the sidecar nothing."""
        wanted = self._cycles_ended() + more
        self._wait(lambda: self._cycles_ended() >= wanted, 0.005)
        return self._cycles_ended()

    def _cycles_ended(self) -> int:
        self._read_log()
        return self._ended

    def _wait(self, condition: Callable[[], bool], pause: float) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the sidecar did not get there:\n{self._log.read_text()[-2000:]}")
            time.sleep(pause)

    def _listening(self) -> bool:
        self._read_log()
        return self._port > 0

    def _read_log(self) -> None:
        """What has come since the last look, whole lines only; there is a line for every file."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        self._ended += new.count(b'"message": "cycle"')
        if not self._port and (found := _LISTENING.search(new)):
            self._port = int(found[1])

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
        return body.decode()
