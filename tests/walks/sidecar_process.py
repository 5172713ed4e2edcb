"""The sidecar as a program, for the walks: started with an environment and files, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

DEADLINE = 60.0  # seconds; generous, since nothing waits for it when all is well


class SidecarProcess:
    """``python -m sidecar`` on a directory, with its storage files; killed when the block is left."""

    def __init__(
        self,
        directory: Path,
        *,
        egress: list[dict[str, Any]] | None = None,
        ingress: list[dict[str, Any]] | None = None,
        files: dict[str, str] | None = None,
        **env: str,
    ) -> None:
        self.export = directory / "export"
        self.export.mkdir(exist_ok=True)
        self.storage = directory / "storage" / "external"
        self.storage.mkdir(parents=True, exist_ok=True)
        self.set_storage(files or {})
        self.log = directory / f"log-{time.monotonic_ns()}"
        self.env = {
            "PATH": os.environ["PATH"],
            "DATA_SYNC_EGRESS": json.dumps(egress or []),
            "DATA_SYNC_INGRESS": json.dumps(ingress or []),
            "DATA_SYNC_EXPORT_DIR": str(self.export),
            "DATA_SYNC_STORAGE_DIR": str(self.storage.parent),
            "DATA_SYNC_PODINFO_DIR": str(directory / "podinfo"),
            "DATA_SYNC_STORAGE_CONFIG_MAP": "config",
            "DATA_SYNC_STORAGE_SECRET": "keys",
            "DATA_SYNC_LISTEN": "127.0.0.1:0",
            "DATA_SYNC_INTERVAL": "300ms",
            "DATA_SYNC_MIN_FREE": "1Mi",
            "POD_NAMESPACE": "edge",
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    def set_storage(self, files: dict[str, str]) -> None:
        """Replace the storage files."""
        for old in self.storage.iterdir():
            old.unlink()
        for key, text in files.items():
            (self.storage / key).write_text(text)

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "sidecar"], env=self.env, stderr=log)
        self.wait_for(lambda: self._listening() is not None, "it listens")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def once(self) -> int:
        """Exit code of one full cycle."""
        command = [sys.executable, "-m", "sidecar", "--once"]
        with self.log.open("ab") as log:
            return subprocess.run(command, env=self.env, stderr=log, check=False, timeout=60).returncode

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; a last line that is not whole yet is left out."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET."""
        assert self._port is not None
        host = self.env["DATA_SYNC_LISTEN"].rpartition(":")[0]
        try:
            with urllib.request.urlopen(f"http://{host}:{self._port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self) -> dict[str, Any]:
        """``/status``."""
        body: dict[str, Any] = json.loads(self.get("/status")[1])
        return body

    def metric(self, series: str) -> float:
        """The value of one series, labels in the order of the exposition; 0 where it is absent."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"data_sync_{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def wait_for(self, condition: Callable[[], bool], what: str, within: float = DEADLINE) -> None:
        """Until ``condition``, at most ``within`` seconds; fails with the end of the log."""
        end = time.monotonic() + within
        while not condition():
            assert self._process is not None
            tail = self.log.read_text()[-3000:]
            assert self._process.poll() is None, f"it ended before {what}:\n{tail}"
            assert time.monotonic() < end, f"no word that {what}:\n{tail}"
            time.sleep(0.02)

    def wait_cycles(self, count: int = 2) -> None:
        """Until so many cycles have begun from now on: one of them began after this call."""
        first = self.status()["cycle"]
        self.wait_for(lambda: self.status()["cycle"] >= first + count, f"{count} cycles pass")

    def stop(self) -> tuple[int, float]:
        """SIGTERM; exit code and how many seconds it took."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> tuple[int, float]:
        assert self._process is not None
        started = time.monotonic()
        self._process.send_signal(number)
        return self._process.wait(60), time.monotonic() - started

    def _listening(self) -> int | None:
        for line in self.lines():
            if line["message"] == "listening":
                self._port = int(line["port"])
        return self._port
