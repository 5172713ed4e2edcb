"""podman, as the tests of the images use it: build, run, look inside."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("sidecar", "webhook")
PYTHON = "3.13"  # of the base image
CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--user=12345", "--no-healthcheck")
MB = 10**6


def podman(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=300)


def run(program: str, *words: str, options: tuple[str, ...] = ("--network=none",)) -> subprocess.CompletedProcess[str]:
    return podman("run", "--rm", *CONFINED, *options, f"data-sync-{program}:test", *words)


@contextmanager
def running(program: str, *options: str) -> Iterator[None]:
    """The program serving in a container; entered once its health check succeeds."""
    started = podman("run", "--detach", *CONFINED, *options, f"data-sync-{program}:test")
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    check = inspected(program)["Healthcheck"]["Test"]
    try:
        deadline = time.monotonic() + 30
        while (answer := podman("exec", container, *check[1:])).returncode != 0:
            assert time.monotonic() < deadline, answer.stderr + podman("logs", container).stderr
        yield
    finally:
        podman("rm", "--force", "--time=5", container)


def python(program: str, code: str) -> str:
    """What ``code`` prints inside the image."""
    result = run(program, "-c", code, options=("--network=none", "--entrypoint", "python"))
    assert result.returncode == 0, result.stderr
    return result.stdout


def base_image(program: str) -> str:
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / f"Dockerfile.{program}").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def download_wheels(directory: Path) -> str | None:
    """Fetch what both locks name for the base's Python; why not, or None."""
    architecture = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{architecture}" for minor in (17, 28, 34)]
    for program in PROGRAMS:
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms),
                *(f"--platform=manylinux2014_{architecture}", f"--dest={directory}"),
                f"--requirement={ROOT}/requirements/{program}.txt",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            return result.stderr[-500:]
    return None


def build(program: str, wheels: Path, tag: str, *options: str) -> subprocess.CompletedProcess[str]:
    return podman(
        *("build", "--pull=never", "--network=none", "--format=docker", f"--file=Dockerfile.{program}"),
        *(f"--build-context=wheels={wheels}", "--build-arg=PIP_NO_INDEX=1", "--build-arg=PIP_FIND_LINKS=/wheels"),
        *options,
        *(f"--tag={tag}", str(ROOT)),
    )


def inspected(program: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(podman("image", "inspect", f"data-sync-{program}:test").stdout)
    return found[0]
