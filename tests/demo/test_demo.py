"""The demo itself, as a person would run it, with a shorter interval."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(directory: Path, **env: str) -> subprocess.Popen[str]:
    directory.mkdir()
    # Whoever runs the tests in the background ignores SIGINT, and so would what is started here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env={**os.environ, "DEMO_INTERVAL": "2s", "TMPDIR": str(directory), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_demo_tells_the_whole_story_and_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path / "tmp") as process:
        output, _ = process.communicate(timeout=110)
    assert process.returncode == 0, output
    for line in (
        "+  - name: data-sync-init",
        "data-sync-init: -m sidecar init (done)",
        "↓ local/download/data/greeting.txt  23 B",
        "↓ local/download/data/settings.json  29 B",
        "statistics/last-words.txt is in the bucket: 'Written just before the end.'",
    ):
        assert line in output
    assert len(re.findall(r"cycle \d+, egress: ok, [1-9]\d* files", output)) >= 2
    assert re.search(r'data_sync_bytes_transferred_total\{direction="egress"\} +\d+ → \d+', output)
    assert re.match(r"All is well: \d+ files .* equal on both sides", output.splitlines()[-1])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_demo_that_goes_wrong_says_what_and_exits_with_one(tmp_path: Path) -> None:
    with start(tmp_path / "tmp", DEMO_INTERVAL="soon") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.match("FAILED: data-sync: .*interval.*'soon' is no duration", output.splitlines()[-1])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupted_demo_ends_what_it_started(tmp_path: Path) -> None:
    with start(tmp_path / "tmp") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "stats-collector:" in line:  # everything runs by now
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 130
    assert "interrupted; everything that was started is stopped" in rest
    assert list((tmp_path / "tmp").iterdir()) == []
