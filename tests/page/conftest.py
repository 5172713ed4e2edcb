"""One browser for all tests of the page, and a sidecar on a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from contract.storage import Storage
from tests.monitoring.tools import tool
from tests.page.browser import chromium
from tests.walks.sidecar_process import SidecarProcess


@pytest.fixture(scope="module")  # playwright keeps an event loop in this thread: no longer than needed
def browser() -> Iterator[Browser]:
    """Debian's Chromium; skipped where it is absent, an error in CI."""
    executable = tool("chromium")
    if executable is None:
        pytest.skip("chromium is not installed (Debian: chromium)")
    with chromium(executable) as browser:
        yield browser


def storage_files(storage: Storage) -> dict[str, str]:
    """The storage keys as files, for a sidecar of its own process."""
    scheme, _, host = storage.endpoint.partition("://")
    name, _, port = host.rpartition(":")
    return {
        "BUCKET_NAME": storage.bucket,
        "BUCKET_HOST": name,
        "BUCKET_PORT": port,
        "BUCKET_SCHEME": scheme,
        "AWS_ACCESS_KEY_ID": storage.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": storage.secret_access_key or "",
    }


@pytest.fixture
def sidecar(tmp_path: Path, storage: Storage) -> Iterator[SidecarProcess]:
    """A sidecar with mappings both ways, in sync or on the way to it."""
    process = SidecarProcess(
        tmp_path,
        egress=[{"source": "stats", "target": "statistics"}],
        ingress=[{"source": "remote", "target": "in"}],
        files=storage_files(storage),
        POD_NAME="os-stats-1",
        DATA_SYNC_INTERVAL="500ms",
    )
    (process.export / "stats").mkdir()
    (process.export / "stats" / "a").write_text("1")
    with process:
        yield process
