"""A real Prometheus of its own: started on a free port, scraping what a test names, ended with the block."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml

from tests.webhook.processes import free_port

T = TypeVar("T")
PATIENCE: Final = 60.0  # seconds; generous, since nothing waits for it when all is well
_ATTEMPTS: Final = 5  # another program may take a port between our choosing and the server's binding it


class Prometheus:
    """``prometheus`` with these scrape jobs and rule files; everything it writes is below ``directory``."""

    def __init__(self, program: str, directory: Path, jobs: list[dict[str, Any]], rules: list[Path]) -> None:
        self._program = program
        self._directory = directory
        self._config = directory / "prometheus.yaml"
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        whole = {"global": every, "scrape_configs": jobs, "rule_files": [str(path) for path in rules]}
        self._config.write_text(yaml.safe_dump(whole))
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        for _ in range(_ATTEMPTS):
            if self._start():
                return self
        raise AssertionError(f"Prometheus did not start:\n{self._log().read_text()[-3000:]}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of ``expression`` at this moment.

        Raises:
            AssertionError: with Prometheus' own words, when it cannot be answered.
        """
        answer = self._ask("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        assert not answer.get("warnings"), f"{expression}: {answer['warnings']}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def get(self, path: str) -> Any:
        """``data`` of an API answer."""
        return self._ask(f"/api/v1/{path}")["data"]

    def wait_for(self, look: Callable[[], T], what: str) -> T:
        """Until ``look`` returns something; returns that."""
        end = time.monotonic() + PATIENCE
        while not (seen := look()):
            assert time.monotonic() < end, f"no word that {what}"
            time.sleep(0.1)
        return seen

    def _start(self) -> bool:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        command = [self._program, f"--config.file={self._config}", f"--storage.tsdb.path={self._directory / 'tsdb'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5):
                    return True
            except OSError:  # not yet
                time.sleep(0.05)
        self._end()
        return False

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _ask(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(self._url + path, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def _log(self) -> Path:
        return self._directory / "prometheus.log"
