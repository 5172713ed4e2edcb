"""Others at the same place: two directories on one prefix, and a bucket that is emptied, recreated or swapped."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.s3server import S3Server
from tests.walks.pair import EGRESS, INGRESS, Pair
from tests.walks.sidecar_process import SidecarProcess


@pytest.fixture
def name(s3_server: S3Server) -> Iterator[str]:
    """A fresh bucket."""
    name = f"neighbours-{secrets.token_hex(6)}"
    s3_server.create_bucket(name)
    yield name
    s3_server.delete_bucket(name)


def pair(directory: Path, server: S3Server, bucket: str, **env: str) -> Pair:
    directory.mkdir(exist_ok=True)
    env = {"DATA_SYNC_INTERVAL": "200ms", "DATA_SYNC_RECONCILE_INTERVAL": "500ms", **env}
    files = server.storage_files(bucket)
    return Pair(SidecarProcess(directory, egress=EGRESS, ingress=INGRESS, files=files, **env), bucket, server.client())


@pytest.mark.timeout(300)
def test_two_directories_on_one_prefix_are_contended_and_lose_nothing(
    tmp_path: Path, s3_server: S3Server, name: str
) -> None:
    one, two = (pair(tmp_path / which, s3_server, name) for which in ("one", "two"))
    with one.sidecar, two.sidecar:
        one.write("shared", b"of one")
        one.wait_sent("shared", b"of one")
        two.write("shared", b"of two")
        two.write("own of two", b"2")
        two.wait_sent("own of two", b"2")

        def contended() -> bool:
            series = 'file_errors_total{direction="egress",reason="contended"}'
            return one.sidecar.metric(series) + two.sidecar.metric(series) > 0

        one.sidecar.wait_for(contended, "they say that the key is contended")
        one.write("own of one", b"1")
        one.wait_sent("own of one", b"1")
        one.sidecar.wait_cycles(5)
    kept = [key for key in one.all_keys() if key.startswith("sent/shared")]
    bodies = {one.get(key) for key in kept}
    assert bodies == {b"of one", b"of two"}, "each version is there, under the name or beside it"
    assert len(kept) <= 4, "one copy an hour for each of the two"


@pytest.mark.timeout(300)
def test_an_emptied_bucket_gets_everything_again_and_the_device_keeps_what_it_has(
    tmp_path: Path, s3_server: S3Server, name: str
) -> None:
    both = pair(tmp_path, s3_server, name)
    with both.sidecar:
        both.put("down", b"down")
        both.write("up", b"up")
        both.wait_arrived("down", b"down")
        both.wait_sent("up", b"up")
        for key in both.all_keys():
            both.client.delete_object(Bucket=name, Key=key)
        both.wait_sent("up", b"up")
        assert both.arrived("down") == b"down"
        assert both.get("remote/down") is None


@pytest.mark.timeout(300)
def test_a_bucket_that_is_removed_and_made_again_gets_everything_again(
    tmp_path: Path, s3_server: S3Server, name: str
) -> None:
    both = pair(tmp_path, s3_server, name)
    with both.sidecar:
        both.write("up", b"up")
        both.wait_sent("up", b"up")
        s3_server.delete_bucket(name)
        both.sidecar.wait_for(
            lambda: both.sidecar.metric('file_errors_total{direction="ingress",reason="no_such_bucket"}') > 0,
            "it says that the bucket is gone",
        )
        both.write("meanwhile", b"written while it was gone")
        s3_server.create_bucket(name)
        both.wait_sent("up", b"up")
        both.wait_sent("meanwhile", b"written while it was gone")


@pytest.mark.timeout(300)
def test_another_bucket_under_a_running_sidecar_gets_everything(tmp_path: Path, s3_server: S3Server, name: str) -> None:
    both = pair(tmp_path, s3_server, name)
    other = f"{name}-other"
    s3_server.create_bucket(other)
    with both.sidecar:
        both.write("up", b"up")
        both.wait_sent("up", b"up")
        both.sidecar.set_storage(s3_server.storage_files(other))
        swapped = Pair(both.sidecar, other, both.client)
        swapped.wait_sent("up", b"up")
        swapped.put("down", b"of the other")
        both.wait_arrived("down", b"of the other")
    s3_server.delete_bucket(other)


@pytest.mark.timeout(300)
def test_a_killed_holder_is_followed_by_the_one_that_waits(tmp_path: Path, s3_server: S3Server, name: str) -> None:
    first, second = pair(tmp_path, s3_server, name), pair(tmp_path, s3_server, name)
    with first.sidecar:
        first.write("a", b"1")
        first.wait_sent("a", b"1")
        with second.sidecar:
            second.sidecar.wait_for(lambda: second.sidecar.status()["role"] == "standby", "it waits")
            for number in range(40):
                first.write(f"many/{number}", b"x" * 1000)
            first.sidecar.kill()
            for number in range(40):
                second.wait_sent(f"many/{number}", b"x" * 1000)
            assert second.sidecar.status()["role"] == "holder"
    assert not [key for key in second.all_keys() if ".conflict-" in key], "its own objects are no stranger's"
