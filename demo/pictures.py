"""``python -m demo.pictures`` (``make screenshots``): the pictures in docs/, from a real run.

A real sidecar on a real S3 server, with files that are written and objects that arrive for some
minutes; then the keys are taken away. Chromium looks at the page as a person would. What is on the
pictures happened; nothing is drawn.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from demo.s3server import S3Server

PICTURES: Final = Path(__file__).resolve().parents[1] / "docs" / "pictures"
MINUTES: Final = float(os.environ.get("MINUTES", "6"))  # of ordinary life before the pictures are taken
_PATIENCE: Final = 60.0  # seconds
_FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync")
_EGRESS: Final = [
    {"source": "stats", "target": "statistics/$(NODE_NAME)"},
    {"source": "logs", "target": "logs/$(NODE_NAME)"},
]
_INGRESS: Final = [{"source": "remote/data", "target": "local/download/data"}]


def main() -> int:
    """Take all pictures; exit code 0, or 1 where Chromium is missing."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium: install it (Debian: chromium)", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    with S3Server() as server, tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        server.create_bucket("edge-data")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        with _sidecar(Path(directory), server.storage_files("edge-data")) as (url, storage):
            _live(Path(directory) / "export", server)
            _until(url, lambda status: _synced(status) == "InSync")
            _take(browser, url, "page-light.png")
            _take(browser, url, "page-phone-dark.png", dark=True, width=390)
            (storage / "AWS_SECRET_ACCESS_KEY").write_text("rotated-elsewhere")
            _write(Path(directory) / "export" / "stats", 5)
            (Path(directory) / "export" / "logs" / os.fsdecode(b"caf\xe9.log")).write_text("a name that is no UTF-8")
            _until(url, lambda status: any(one["problems"] for one in status["mappings"]))
            _take(browser, url, "page-trouble.png", width=1000)
        browser.close()
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture.name}: {picture.stat().st_size // 1024} KiB")
    return 0


@contextmanager
def _sidecar(directory: Path, keys: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """The sidecar's address, and the directory that its storage keys are in."""
    storage = directory / "storage" / "external"
    storage.mkdir(parents=True)
    for name, text in keys.items():
        (storage / name).write_text(text)
    for name in ("stats", "logs"):
        (directory / "export" / name).mkdir(parents=True)
    env = {
        "PATH": os.environ["PATH"],
        "DATA_SYNC_EGRESS": json.dumps(_EGRESS),
        "DATA_SYNC_INGRESS": json.dumps(_INGRESS),
        "DATA_SYNC_EXPORT_DIR": str(directory / "export"),
        "DATA_SYNC_STORAGE_DIR": str(storage.parent),
        "DATA_SYNC_PODINFO_DIR": str(directory / "podinfo"),
        "DATA_SYNC_INTERVAL": "5s",
        "DATA_SYNC_LISTEN": "127.0.0.1:0",
        "POD_NAME": "os-stats-7c9d5f6b8-x2lqn",
        "POD_NAMESPACE": "edge",
        "NODE_NAME": "gate-17",
        "DEVICE_ID": "camera-17",
    }
    process = subprocess.Popen([sys.executable, "-m", "sidecar"], env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        port = next(line["port"] for line in map(json.loads, process.stderr) if line["message"] == "listening")
        log = tempfile.TemporaryFile("w")  # noqa: SIM115 - drained for as long as the sidecar runs
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)
        yield f"http://localhost:{port}/", storage
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        drain.wait(_PATIENCE)
        log.close()


def _live(export: Path, server: S3Server) -> None:
    """What a workload and its bucket do in some minutes."""
    chance = random.Random(17)  # noqa: S311 - the same run each time
    client = server.client()
    end, number = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        number += 1
        _write(export / "stats", chance.randrange(1, 12))
        with (export / "logs" / f"app-{number // 20}.log").open("a") as log:
            log.write("a line of a log\n" * chance.randrange(100, 4000))
        if chance.random() < 0.5:
            body = b"z" * chance.randrange(10_000, 400_000)
            client.put_object(Bucket="edge-data", Key=f"remote/data/model-{number}.bin", Body=body)
        time.sleep(3)


def _write(directory: Path, files: int) -> None:
    for _ in range(files):
        (directory / f"{time.time_ns()}.json").write_text("x" * random.randrange(2_000, 60_000))  # noqa: S311


def _until(url: str, told: Callable[[dict[str, Any]], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        with urllib.request.urlopen(f"{url}status", timeout=10) as answer:  # noqa: S310 - our own
            if told(json.load(answer)):
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{url}status does not say what is waited for")
        time.sleep(0.2)


def _synced(status: dict[str, Any]) -> str:
    return next(str(one["reason"]) for one in status["conditions"] if one["type"] == "Synced")


def _take(browser: Browser, url: str, name: str, *, dark: bool = False, width: int = 1100) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    page = context.new_page()
    page.goto(url)
    page.locator("#mappings li").first.wait_for()
    page.screenshot(path=PICTURES / name, full_page=True)
    context.close()


if __name__ == "__main__":
    sys.exit(main())
