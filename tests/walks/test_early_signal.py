"""A sidecar that is told to stop while it still starts: as beside a Job whose application ends at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.storage import Storage
from demo.bucket import Bucket
from demo.s3server import S3Server
from tests.walks.sidecar_process import DEADLINE, SidecarProcess

# Runs the program as `python -m sidecar` does, and sends SIGTERM when its modules are about to be imported.
TOLD_EARLY = """
import os, runpy, signal, sys
sys.path.insert(0, os.getcwd())

class Tell:
    def find_spec(self, name, path=None, target=None):
        if name == "sidecar.program":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Tell())
sys.argv = ["sidecar", *sys.argv[1:]]
runpy.run_module("sidecar", run_name="__main__", alter_sys=True)
"""
ROOT = Path(__file__).resolve().parents[2]


def told_early(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", TOLD_EARLY, *arguments]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=2 * DEADLINE)


def test_it_sends_what_is_there_and_ends_with_0(tmp_path: Path, s3_server: S3Server, storage: Storage) -> None:
    sidecar = SidecarProcess(
        tmp_path, egress=[{"source": "out", "target": "job"}], files=s3_server.storage_files(storage.bucket)
    )
    (sidecar.export / "out").mkdir()
    (sidecar.export / "out" / "result.txt").write_text("done")
    ended = told_early(sidecar.env)
    assert ended.returncode == 0, ended.stderr
    bucket = Bucket(storage)
    try:
        assert bucket.contents("job/") == {"result.txt": b"done"}
    finally:
        bucket.close()


@pytest.mark.parametrize("arguments", [("wait",), ("explain", "a"), ("verify",), ("--once", "--dry-run")])
def test_a_command_that_a_person_started_ends_as_they_are_used_to(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = told_early(SidecarProcess(tmp_path).env, *arguments)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
