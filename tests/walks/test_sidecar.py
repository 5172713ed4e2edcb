"""The sidecar as a person runs it: a real process, real files, a real S3 server."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.storage import Storage
from demo.s3server import S3Server
from tests.fakes.faults import FaultServer, refusal
from tests.walks.sidecar_process import SidecarProcess

STATS = [{"source": "stats", "target": "statistics"}]
DATA = [{"source": "remote/data", "target": "local/download/data"}]


class Bucket:
    """A fresh bucket, seen by a client that is not the sidecar's."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.name = f"walk-{secrets.token_hex(6)}"
        server.create_bucket(self.name)
        self.files = server.storage_files(self.name)
        self._client = server.client()

    def put(self, key: str, body: str) -> None:
        self._client.put_object(Bucket=self.name, Key=key, Body=body.encode())

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.name, Key=key)

    def objects(self) -> dict[str, str]:
        listed = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        found = {}
        for entry in listed:
            body = self._client.get_object(Bucket=self.name, Key=entry["Key"])["Body"]
            with body:
                found[entry["Key"]] = body.read().decode("utf-8", "replace")
        return found

    def uploads(self) -> list[Any]:
        listed: list[Any] = self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return listed


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    bucket = Bucket(s3_server)
    yield bucket
    s3_server.delete_bucket(bucket.name)


def write(sidecar: SidecarProcess, path: str, body: str) -> None:
    target = sidecar.export / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(body)


def test_both_ways_idle_and_stop(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("remote/data/a", "down")
    bucket.put("remote/data/deep/b", "down")
    bucket.put("remote/database", "not ours")
    with SidecarProcess(tmp_path, egress=STATS, ingress=DATA, files=bucket.files) as sidecar:
        write(sidecar, "stats/one", "up")
        write(sidecar, "stats/sub dir/zwei ü", "up")
        sidecar.wait_for(lambda: len(bucket.objects()) == 5, "both files are in the bucket")
        sidecar.wait_for((sidecar.export / "local/download/data/deep/b").exists, "the objects arrived")
        assert (sidecar.export / "local/download/data/a").read_text() == "down"
        assert not list(sidecar.export.rglob("database"))
        sidecar.wait_for(lambda: sidecar.get("/readyz")[0] == 200, "it is ready")
        assert sidecar.get("/livez")[0] == 200

        sidecar.wait_cycles()
        puts = sidecar.metric('s3_requests_total{code="200",operation="put"}')
        lists = sidecar.metric('s3_requests_total{code="200",operation="list"}')
        cycles = sidecar.status()["cycle"]
        sidecar.wait_cycles(3)
        assert sidecar.metric('s3_requests_total{code="200",operation="put"}') == puts == 2
        more = sidecar.metric('s3_requests_total{code="200",operation="list"}') - lists
        assert more <= sidecar.status()["cycle"] - cycles + 1, "an idle cycle is one listing, for ingress"

        write(sidecar, "stats/last", "written just before the end")
        code, seconds = sidecar.stop()
        assert code == 0
        assert seconds < 10
        assert bucket.objects()["statistics/last"] == "written just before the end"


def test_over_https_with_its_own_authority(tmp_path: Path, s3_server_tls: S3Server) -> None:
    bucket = Bucket(s3_server_tls)
    sidecar = SidecarProcess(tmp_path, egress=STATS, ingress=DATA, files=bucket.files)
    bucket.put("remote/data/a", "down")
    write(sidecar, "stats/a", "up")
    write(sidecar, "stats/large", "x" * (9 * 2**20))
    assert sidecar.once() == 0
    assert sorted(bucket.objects()) == ["remote/data/a", "statistics/a", "statistics/large"]
    assert (sidecar.export / "local/download/data/a").read_text() == "down"
    sidecar.set_storage({key: text for key, text in bucket.files.items() if key != "tls.crt"})
    assert sidecar.once() == 2, "the certificate is not trusted without its authority"
    assert any(line.get("reason") == "tls" or "certificate" in str(line.get("error")) for line in sidecar.lines())
    s3_server_tls.delete_bucket(bucket.name)


def test_keys_that_come_late_are_waited_for_by_name(tmp_path: Path, bucket: Bucket) -> None:
    with SidecarProcess(tmp_path, egress=STATS, files={"BUCKET_HOST": "127.0.0.1"}) as sidecar:
        write(sidecar, "stats/a", "up")
        sidecar.wait_for(lambda: "Missing field" in str(sidecar.status()["waiting_for"]), "it waits")
        sidecar.wait_cycles()
        assert "Missing field BUCKET_NAME in resource edge/config" in sidecar.status()["waiting_for"]
        assert "Missing field AWS_ACCESS_KEY_ID in resource edge/keys" in sidecar.status()["waiting_for"]
        assert sidecar.get("/readyz")[0] == 503
        assert sidecar.get("/livez")[0] == 200
        sidecar.set_storage(bucket.files)
        sidecar.wait_for(lambda: bucket.objects() == {"statistics/a": "up"}, "the file is in the bucket")


@pytest.mark.parametrize(
    ("case", "change", "reason"),
    [
        ("wrong secret", {"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "access_denied"),
        ("unknown key", {"AWS_ACCESS_KEY_ID": "nobody"}, "access_denied"),
        ("missing bucket", {"BUCKET_NAME": "no-such-bucket"}, "no_such_bucket"),
        ("nobody listens", {"BUCKET_PORT": "1"}, "unreachable"),
        ("https to a plain port", {"BUCKET_SCHEME": "https"}, "tls"),
    ],
)
def test_what_is_wrong_is_said_each_cycle_and_mended_without_a_restart(
    tmp_path: Path, bucket: Bucket, case: str, change: dict[str, str], reason: str
) -> None:
    sidecar = SidecarProcess(tmp_path, egress=STATS, files={**bucket.files, **change})
    write(sidecar, "stats/a", "up")  # before the first cycle: one with nothing to send may be complete
    with sidecar:
        sidecar.wait_for(
            lambda: sidecar.metric(f'file_errors_total{{direction="egress",reason="{reason}"}}') >= 2,
            f"{case} is reported again and again as {reason}",
        )
        (mapping,) = sidecar.status()["mappings"]
        assert mapping["last_error_reason"] == reason
        assert mapping["last_error"]
        assert sidecar.get("/livez")[0] == 200
        assert sidecar.get("/readyz")[0] == 503
        assert "wrong-secret" not in sidecar.log.read_text() + sidecar.get("/status")[1] + sidecar.get("/metrics")[1]
        sidecar.set_storage(bucket.files)
        sidecar.wait_for(lambda: bucket.objects() == {"statistics/a": "up"}, "nothing was lost")


def test_a_clock_that_is_off_is_named_with_how_much(tmp_path: Path) -> None:
    skewed = refusal(403, "RequestTimeTooSkewed", Date="Mon, 23 Nov 2020 00:00:00 GMT")
    with FaultServer(lambda _request: skewed) as server:
        storage = server.storage()
        sidecar = SidecarProcess(tmp_path, egress=STATS, files=_files(storage))
        write(sidecar, "stats/a", "up")
        assert sidecar.once() == 2
    errors = " ".join(str(line.get("error", "")) for line in sidecar.lines())
    assert "clock" in errors


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATA_SYNC_EGRESS", "[{"),
        ("DATA_SYNC_EGRESS", '[{"source": "/etc", "target": "x"}]'),
        ("DATA_SYNC_INGRESS", '[{"source": "x", "target": "stats"}]'),
        ("DATA_SYNC_INTERVAL", "often"),
    ],
)
def test_a_bad_setting_ends_the_start_with_2_and_its_name(tmp_path: Path, variable: str, value: str) -> None:
    sidecar = SidecarProcess(tmp_path, egress=STATS)
    sidecar.env[variable] = value
    assert sidecar.once() == 2
    assert any(variable in str(line.get("error", "")) for line in sidecar.lines())


def test_a_port_that_is_taken_is_said_at_the_start(tmp_path: Path, bucket: Bucket) -> None:
    with SidecarProcess(tmp_path, egress=STATS, files=bucket.files) as first:
        other = tmp_path / "other"
        other.mkdir()
        second = SidecarProcess(other, egress=STATS, files=bucket.files, DATA_SYNC_LISTEN=f"127.0.0.1:{first._port}")
        with pytest.raises(AssertionError, match="DATA_SYNC_LISTEN"):
            second.__enter__()


def test_deletions_are_never_propagated(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("remote/data/a", "down")
    with SidecarProcess(tmp_path, egress=STATS, ingress=DATA, files=bucket.files) as sidecar:
        write(sidecar, "stats/a", "up")
        sidecar.wait_for(lambda: len(bucket.objects()) == 2, "the file is in the bucket")
        sidecar.wait_for((sidecar.export / "local/download/data/a").exists, "the object arrived")
        (sidecar.export / "stats/a").unlink()
        bucket.delete("remote/data/a")
        sidecar.wait_cycles(3)
        assert bucket.objects() == {"statistics/a": "up"}
        assert (sidecar.export / "local/download/data/a").read_text() == "down"


def test_two_sidecars_on_one_directory_hand_over_after_a_kill(tmp_path: Path, bucket: Bucket) -> None:
    with (
        SidecarProcess(tmp_path, egress=STATS, files=bucket.files) as first,
        SidecarProcess(tmp_path, egress=STATS, files=bucket.files) as second,
    ):
        write(first, "stats/a", "1")
        first.wait_for(lambda: "statistics/a" in bucket.objects(), "the file is in the bucket")
        second.wait_for(lambda: second.get("/readyz")[0] == 200, "the one that waits answers as the holder does")
        assert (first.status()["role"], second.status()["role"]) == ("holder", "standby")
        first.kill()
        write(second, "stats/b", "2")
        second.wait_for(lambda: "statistics/b" in bucket.objects(), "the other takes over")
        assert second.status()["role"] == "holder"


def test_a_kill_at_random_moments_loses_nothing(tmp_path: Path, bucket: Bucket) -> None:
    for number in range(60):
        bucket.put(f"remote/data/{number}", f"down {number}")
    for round_ in range(4):
        with SidecarProcess(tmp_path, egress=STATS, ingress=DATA, files=bucket.files) as sidecar:
            for number in range(40):
                write(sidecar, f"stats/{number}", f"up {round_} {number}")
            sidecar.wait_for(lambda: bool(sidecar.status()["cycle"]), "it began")
            sidecar.kill()
    assert sidecar.once() == 0
    objects = bucket.objects()
    for number in range(40):
        assert objects[f"statistics/{number}"] == f"up 3 {number}"
    for number in range(60):
        assert (sidecar.export / f"local/download/data/{number}").read_text() == f"down {number}"
    assert not [key for key in objects if ".conflict-" in key]
    assert not list(sidecar.export.rglob("*.conflict-*"))
    assert bucket.uploads() == []


def test_stop_while_the_server_is_down_ends_in_time_and_names_what_is_left(tmp_path: Path, bucket: Bucket) -> None:
    files = {**bucket.files, "BUCKET_PORT": "1"}
    with SidecarProcess(tmp_path, egress=STATS, files=files, DATA_SYNC_GRACE_PERIOD="5s") as sidecar:
        write(sidecar, "stats/left", "up")
        sidecar.wait_cycles()
        code, seconds = sidecar.stop()
        assert code == 0
        assert seconds < 6
        (line,) = [line for line in sidecar.lines() if line["message"] == "stopped with unsent files"]
        assert line["names"] == ["stats/left"]


@contextmanager
def constantly(act: Callable[[int], None]) -> Iterator[None]:
    """Do something in a thread, again and again, until the block is left."""
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            act(number)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_log_that_is_written_all_the_time_arrives_and_rotation_keeps_both(tmp_path: Path, bucket: Bucket) -> None:
    with SidecarProcess(tmp_path, egress=STATS, files=bucket.files) as sidecar:
        log = sidecar.export / "stats/app.log"
        write(sidecar, "stats/app.log", "begin\n")

        def append(number: int) -> None:
            with log.open("a") as file:
                file.write(f"{number}\n")

        with constantly(append):
            sidecar.wait_for(lambda: "\n1" in bucket.objects().get("statistics/app.log", ""), "the log arrives")
        log.rename(sidecar.export / "stats/app.log.1")
        write(sidecar, "stats/app.log", "fresh\n")
        rotated = (sidecar.export / "stats/app.log.1").read_text()
        sidecar.wait_for(
            lambda: (
                (objects := bucket.objects()).get("statistics/app.log") == "fresh\n"
                and objects.get("statistics/app.log.1") == rotated
            ),
            "both arrive",
        )


def test_a_reader_never_sees_half_a_file(tmp_path: Path, bucket: Bucket) -> None:
    bodies = {letter * 300_000 for letter in "abc"}
    bucket.put("remote/data/big", "a" * 300_000)
    seen: set[str] = set()
    with SidecarProcess(tmp_path, ingress=DATA, files=bucket.files, DATA_SYNC_INTERVAL="100ms") as sidecar:
        target = sidecar.export / "local/download/data/big"
        sidecar.wait_for(target.exists, "it arrived")

        def look(_number: int) -> None:
            seen.add(target.read_text())

        def shows(letter: str) -> Callable[[], bool]:
            return lambda: target.read_text()[0] == letter

        with constantly(look):
            for letter in "bcabc":
                bucket.put("remote/data/big", letter * 300_000)
                sidecar.wait_for(shows(letter), "the new version arrived")
    assert seen <= bodies


def _files(storage: Storage) -> dict[str, str]:
    return {
        "BUCKET_NAME": storage.bucket,
        "BUCKET_HOST": storage.host,
        "BUCKET_PORT": str(storage.port),
        "BUCKET_SCHEME": storage.scheme,
        "AWS_ACCESS_KEY_ID": storage.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": storage.secret_access_key or "",
    }
