"""A quota that is exceeded while the disk says that there is room, and a disk that fails under a running sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.s3server import S3Server
from tests.faults.disks import FailingDisk, QuotaDisk
from tests.faults.test_disk import bucket, errors, pair

__all__ = ["bucket"]  # a fixture
MIB = 2**20


@pytest.fixture
def quota(tmp_path: Path) -> Iterator[QuotaDisk]:
    with QuotaDisk(tmp_path / "export") as disk:
        disk.begin(tmp_path / "image")
        yield disk


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[FailingDisk]:
    with FailingDisk(tmp_path / "export") as disk:
        disk.begin(tmp_path / "below")
        yield disk


def moved(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError:
        return False
    return True


@pytest.mark.timeout(300)
def test_a_quota_stops_no_upload_and_what_came_is_whole(
    quota: QuotaDisk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_MIN_FREE="1")
    bodies = {f"{number}": bytes([number]) * MIB for number in range(12)}
    with both.sidecar:
        both.write("before", b"before")
        both.put("old", b"old")
        both.wait_arrived("old", b"old")
        both.wait_sent("before", b"before")
        quota.limit(6 * MIB)
        for name, body in bodies.items():
            both.put(name, body)
        both.sidecar.wait_for(lambda: bool(errors(both, "ingress")), "it is said")
        both.sidecar.wait_for(lambda: moved(both.out / "before", both.out / "after"), "there is room for a name")
        both.wait_sent("after", b"before")
        both.sidecar.wait_cycles(3)
        came = {name: found for name in bodies if (found := both.arrived(name)) is not None}
        assert came == {name: bodies[name] for name in came}
        assert len(came) < len(bodies), "the quota holds"
        assert both.sidecar.get("/livez")[0] == 200
        quota.limit()
        for name, body in bodies.items():
            both.wait_arrived(name, body)
    assert both.sidecar.once() == 0
    assert not list((tmp_path / "export/.data-sync/staging/incoming").iterdir())


@pytest.mark.timeout(300)
def test_a_disk_that_fails_shows_nothing_half_and_is_made_good_after_its_repair(
    failing: FailingDisk, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    both = pair(tmp_path, s3_server, bucket, DATA_SYNC_MIN_FREE="1")
    both.put("old", b"old" * 1000)
    both.write("sent", b"sent")
    with both.sidecar:
        both.wait_arrived("old", b"old" * 1000)
        both.wait_sent("sent", b"sent")
        both.sidecar.wait_cycles(2)
        failing.break_down()
        both.put("old", b"new" * 100_000)
        both.put("more", b"more" * 100_000)
        both.sidecar.wait_for(lambda: bool(errors(both, "ingress")), "it is said")
        both.sidecar.wait_cycles(3)
        assert both.arrived("old") == b"old" * 1000
        assert both.arrived("more") is None
        assert both.sidecar.get("/livez")[0] == 200
        assert "internal" not in both.sidecar.log.read_text()
        both.sidecar.kill()
    failing.repair()
    with both.sidecar:
        both.wait_arrived("old", b"new" * 100_000)
        both.wait_arrived("more", b"more" * 100_000)
        both.write("sent", b"again")
        both.wait_sent("sent", b"again")
    assert not list((tmp_path / "export").rglob("*.conflict-*"))
