"""Which files are flushed together and which by themselves: an error of the disk is told in one place only."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import SyncError
from sidecar.local.directories import Root
from sidecar.local.staging import Staging
from sidecar.plan import Download, RemoteFile
from sidecar.transfer import publish
from sidecar.transfer.publish import Fetched, Publisher, syncfs_tells_errors
from sidecar.tree import ETag, Fingerprint, RelativePath


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The acts, in order; a flush of all fails once for each "fail" put in front."""
    acts: list[str] = []

    def syncfs(_fd: int) -> None:
        if acts and acts[-1] == "fail":
            acts[-1] = "failed"
            raise OSError(errno.EIO, "Input/output error")
        acts.append("all")

    monkeypatch.setattr(publish, "syncfs", syncfs)
    monkeypatch.setattr(publish, "_fsync", lambda name, _directory: acts.append(name))
    return acts


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    nothing: Any = None
    with Root(str(tmp_path)) as root:
        staging = Staging(root, set())
        yield Publisher(root, staging, nothing, lambda: "")
        staging.close()


def fetched(name: str, size: int = 1) -> Fetched:
    action = Download(RelativePath(name), RemoteFile(RelativePath(name), size, ETag("e"), 0.0), None, None)
    return Fetched(action, name, name, b"", Fingerprint(size, 0, 0, 0))


MANY = [fetched(str(number)) for number in range(4)]


def test_many_small_files_are_flushed_together_and_a_large_one_by_itself_too(
    publisher: Publisher, flushed: list[str]
) -> None:
    publisher.make_durable([*MANY, fetched("large", 2 * 2**20)], [])
    assert flushed == ["large", "all"]


def test_after_a_flush_that_failed_each_file_is_asked_by_itself(publisher: Publisher, flushed: list[str]) -> None:
    flushed.append("fail")
    with pytest.raises(SyncError, match="flush"):
        publisher.make_durable(MANY, [])
    publisher.make_durable(MANY, [])
    assert flushed == ["failed", "0", "1", "2", "3"]


def test_a_directory_that_the_workload_removed_is_no_fault_of_the_others(
    publisher: Publisher, flushed: list[str]
) -> None:
    publisher.make_durable([fetched("a")], [fetched("gone/b")])
    assert flushed == ["a"]


@pytest.mark.parametrize(
    ("release", "tells"),
    [("6.1.0-13-amd64", True), ("5.8.0", True), ("5.7.19", False), ("4.19.0-25", False), ("10.0", True), ("?", False)],
)
def test_kernels_before_5_8_keep_errors_to_themselves(release: str, *, tells: bool) -> None:
    assert syncfs_tells_errors(release) is tells
