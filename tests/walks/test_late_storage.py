"""Storage that comes, changes and goes under a running sidecar, as kubelet shows it: whole sets swapped by a link."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.s3server import S3Server
from tests.walks.sidecar_process import SidecarProcess
from tests.walks.test_sidecar import STATS, Bucket, write

pytestmark = pytest.mark.timeout(300)  # many waits, each short where nothing else runs

CLAIM, EXTERNAL = "claim", "external"


class Projected:
    """A projected volume as kubelet writes it: ``..data`` leads to the current set, and is swapped whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._current: Path | None = None
        directory.mkdir()
        for place in (CLAIM, EXTERNAL):
            (directory / place).symlink_to(f"..data/{place}")
        self.show({})

    def show(self, places: dict[str, dict[str, str]]) -> None:
        """Make ``places`` (directory → file → text) the current set."""
        fresh = self._directory / f"..2026_{next(self._numbers)}"
        fresh.mkdir()
        for place, files in places.items():
            (fresh / place).mkdir()
            for name, text in files.items():
                (fresh / place / name).write_text(text)
        link = self._directory / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self._directory / "..data")
        old, self._current = self._current, fresh
        if old is not None:
            for path in sorted(old.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            old.rmdir()


@pytest.fixture
def buckets(s3_server: S3Server) -> Iterator[tuple[Bucket, Bucket]]:
    both = (Bucket(s3_server), Bucket(s3_server))
    yield both
    for bucket in both:
        s3_server.delete_bucket(bucket.name)


def sidecar_on(directory: Path, **env: str) -> tuple[SidecarProcess, Projected]:
    volume = Projected(directory / "projected")
    sidecar = SidecarProcess(directory, egress=STATS)
    where = {"DATA_SYNC_STORAGE_DIR": str(directory / "projected"), "DATA_SYNC_STORAGE_CLAIM": "camera-1"}
    sidecar.env |= {**where, **env}
    return sidecar, volume


def told(sidecar: SidecarProcess, words: str) -> None:
    sidecar.wait_for(lambda: words in sidecar.log.read_text(), f"the log says {words!r}")


def arrives(sidecar: SidecarProcess, bucket: Bucket, name: str) -> None:
    write(sidecar, f"stats/{name}", name)
    sidecar.wait_for(lambda: f"statistics/{name}" in bucket.objects(), f"{name} is in {bucket.name}")


def test_a_claim_that_comes_changes_and_goes_needs_no_restart(tmp_path: Path, buckets: tuple[Bucket, Bucket]) -> None:
    own, stand_in = buckets
    sidecar, volume = sidecar_on(tmp_path)
    with sidecar:
        write(sidecar, "stats/first", "1")
        told(sidecar, "Missing field BUCKET_NAME in resource edge/camera-1")
        volume.show({EXTERNAL: stand_in.files})
        sidecar.wait_for(lambda: "statistics/first" in stand_in.objects(), "the external storage is used")

        half = {key: text for key, text in own.files.items() if not key.startswith("AWS_")}
        volume.show({EXTERNAL: stand_in.files, CLAIM: half})
        arrives(sidecar, stand_in, "while-half-bound")

        volume.show({EXTERNAL: stand_in.files, CLAIM: own.files})
        arrives(sidecar, own, "bound")
        assert "statistics/bound" not in stand_in.objects()

        wrong = {**own.files, "AWS_SECRET_ACCESS_KEY": "rotated-and-not-yet-known"}
        volume.show({EXTERNAL: stand_in.files, CLAIM: wrong})
        sidecar.wait_cycles()
        write(sidecar, "stats/rotated", "r")
        sidecar.wait_cycles()
        assert "statistics/rotated" not in own.objects()
        volume.show({EXTERNAL: stand_in.files, CLAIM: own.files})
        sidecar.wait_for(lambda: "statistics/rotated" in own.objects(), "the right keys are used")

        volume.show({EXTERNAL: stand_in.files})
        arrives(sidecar, stand_in, "unbound")
        assert "statistics/unbound" not in own.objects()

        volume.show({})
        told(sidecar, "waiting for storage")
        write(sidecar, "stats/kept", "k")
        volume.show({CLAIM: own.files})
        sidecar.wait_for(lambda: "statistics/kept" in own.objects(), "what was written without storage is sent")
        assert sidecar.stop()[0] == 0


def test_the_way_to_the_claims_server_can_be_another_than_the_claim_says(
    tmp_path: Path, buckets: tuple[Bucket, Bucket]
) -> None:
    own, _ = buckets
    way = {key: own.files[key] for key in ("BUCKET_HOST", "BUCKET_PORT", "BUCKET_SCHEME") if key in own.files}
    in_cluster = {**own.files, "BUCKET_HOST": "s3.openshift-storage.svc", "BUCKET_PORT": "443", "BUCKET_SCHEME": ""}
    sidecar, volume = sidecar_on(tmp_path, DATA_SYNC_STORAGE_CLAIM_OVERRIDES=json.dumps(way))
    with sidecar:
        told(sidecar, "Missing field BUCKET_NAME in resource edge/camera-1")
        volume.show({CLAIM: in_cluster})
        arrives(sidecar, own, "by-another-way")
