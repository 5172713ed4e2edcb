"""A small disk that fills up, runs out of inodes, or is read-only: said, survived, and made good by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.s3server import S3Server
from tests.walks.pair import EGRESS, INGRESS, Pair
from tests.walks.sidecar_process import SidecarProcess

MIB = 2**20


class Disk:
    """A tmpfs over ``path``; ``again`` changes its options."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)

    def mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        if refused.returncode:
            pytest.skip(f"no file system may be mounted here: {refused.stderr.strip()}")

    def again(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def free(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, name: str) -> Path:
        """Write until nothing more fits."""
        target = self.path / name
        with target.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65_536)
            except OSError:
                return target


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "export")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.path)], capture_output=True, check=False)


@pytest.fixture
def bucket(s3_server: S3Server, tmp_path: Path) -> Iterator[str]:
    name = "disk-" + "".join(character for character in tmp_path.name.lower() if character.isalnum())[-40:]
    s3_server.create_bucket(name)
    yield name
    s3_server.delete_bucket(name)


def pair(tmp_path: Path, server: S3Server, bucket: str, **env: str) -> Pair:
    files = server.storage_files(bucket)
    env = {"DATA_SYNC_INTERVAL": "200ms", "DATA_SYNC_MIN_FREE": "64Ki", **env}
    return Pair(SidecarProcess(tmp_path, egress=EGRESS, ingress=INGRESS, files=files, **env), bucket, server.client())


def arrived(disk: Disk) -> int:
    top = disk.path / "in"
    return len(list(top.iterdir())) if top.is_dir() else 0


def limited(both: Pair) -> Callable[[], bool]:
    return lambda: both.sidecar.metric("ingress_limited") == 1


@pytest.mark.timeout(300)
def test_parallel_downloads_together_keep_the_floor_and_go_on_when_there_is_room(
    disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    disk.mount("size=24m")
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_MIN_FREE="8Mi")
    for number in range(24):
        both.put(f"{number}", bytes([number]) * MIB)
    least = [disk.free()]

    def full() -> bool:
        least.append(disk.free())
        return limited(both)() and both.sidecar.metric('pending_files{direction="ingress"}') > 0

    with both.sidecar:
        both.sidecar.wait_for(full, "it says that the limit is reached")
        both.put("small", b"fits")
        both.sidecar.wait_for(lambda: full() and both.arrived("small") == b"fits", "what fits goes on")
        assert min(least) >= 8 * MIB - 256 * 1024, "the index and the names may take a little"
        assert 1 <= arrived(disk) < 24
        assert both.sidecar.get("/readyz")[0] == 200, "limited is complete"
        disk.again("size=64m")
        for number in range(24):
            both.wait_arrived(f"{number}", bytes([number]) * MIB)


@pytest.mark.timeout(300)
def test_the_ceiling_holds_under_parallel_downloads(
    disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    disk.mount("size=64m")
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_INGRESS_MAX_BYTES="5Mi")
    for number in range(12):
        both.put(f"{number}", bytes([number]) * MIB)
    most = [0]

    def reached() -> bool:
        top = disk.path / "in"
        files = [path for path in top.rglob("*") if path.is_file()] if top.is_dir() else []
        most.append(sum(path.stat().st_size for path in files))
        return limited(both)() and len(files) == 5

    with both.sidecar:
        both.sidecar.wait_for(reached, "the ceiling is reached")
        both.sidecar.wait_cycles(3)
        reached()
    assert max(most) <= 5 * MIB


@pytest.mark.timeout(300)
def test_a_full_disk_stops_no_upload_and_is_made_good_when_there_is_room(
    disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    disk.mount("size=16m")
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_MIN_FREE="1")
    with both.sidecar:
        both.put("old", b"old" * 1000)
        both.write("before", b"before")
        both.wait_arrived("old", b"old" * 1000)
        both.wait_sent("before", b"before")
        beside = both.sidecar.export / "out/during"
        beside.write_bytes(b"during")
        filler = disk.fill("filler")
        both.put("old", b"new" * 100_000)
        both.put("more", b"more" * 100_000)
        both.wait_sent("during", b"during")
        both.sidecar.wait_cycles(3)
        assert both.arrived("old") == b"old" * 1000
        assert both.arrived("more") is None
        assert both.sidecar.get("/livez")[0] == 200
        filler.unlink()
        both.wait_arrived("old", b"new" * 100_000)
        both.wait_arrived("more", b"more" * 100_000)
    assert not list(disk.path.rglob("*.conflict-*"))


@pytest.mark.timeout(300)
def test_inodes_that_run_out_are_a_limit_too(disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    disk.mount("size=32m,nr_inodes=60")
    both = pair(tmp_path, s3_server, bucket)
    for number in range(80):
        both.put(f"{number}", b"x")
    with both.sidecar:
        both.sidecar.wait_for(limited(both), "it says so")
        both.sidecar.wait_cycles(2)
        status = os.statvfs(disk.path)
        assert status.f_favail >= 0.1 * status.f_files - 4, "a tenth stays free, but for what the index takes"
        assert arrived(disk) < 80
        disk.again("nr_inodes=600")
        both.sidecar.wait_for(lambda: arrived(disk) == 80, "all arrive when there are inodes again")


@pytest.mark.timeout(300)
def test_a_start_on_a_full_disk_sends_what_is_there_and_fetches_when_there_is_room(
    disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    disk.mount("size=16m")
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_MIN_FREE="1")
    both.write("a", b"1")
    assert both.sidecar.once() == 0
    both.write("a", b"2")
    both.write("b", b"3")
    filler = disk.fill("filler")
    both.put("c", b"4" * 100_000)
    with both.sidecar:
        both.wait_sent("a", b"2")
        both.wait_sent("b", b"3")
        both.sidecar.wait_for(lambda: bool(errors(both, "ingress")), "it says why nothing is fetched")
        assert "index can only be read; only egress goes on" in [line["message"] for line in both.sidecar.lines()]
        assert both.sidecar.get("/livez")[0] == 200
        assert both.arrived("c") is None
        filler.unlink()
        both.wait_arrived("c", b"4" * 100_000)
    assert both.sidecar.once() == 0


@pytest.mark.timeout(300)
def test_a_read_only_disk_is_said_and_sent_from_and_picked_up_when_it_can_be_written(
    disk: Disk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    disk.mount("size=32m")
    both = pair(tmp_path, s3_server, bucket)
    both.write("a", b"1")
    assert both.sidecar.once() == 0
    both.put("b", b"2")
    both.write("unsent", b"before the disk went read-only")
    disk.again("ro")
    with both.sidecar:
        both.wait_sent("unsent", b"before the disk went read-only")
        both.sidecar.wait_for(lambda: bool(errors(both, "ingress")), "it says why nothing is fetched")
        assert both.sidecar.get("/livez")[0] == 200
        assert both.arrived("b") is None
        disk.again("rw")
        both.wait_arrived("b", b"2")
        both.write("c", b"3")
        both.wait_sent("c", b"3")


def errors(both: Pair, direction: str) -> list[str]:
    """The last errors that ``/status`` tells of the mappings of one direction."""
    mappings = both.sidecar.status()["mappings"]
    return [
        mapping["last_error"] for mapping in mappings if mapping["direction"] == direction and mapping["last_error"]
    ]
