"""Egress on the whole engine: what is sent, when, and what is never sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import AccessDenied, NoSuchBucket, Unreachable
from sidecar.remote.store import META_MTIME, META_SHA256, META_WRITER, SMALL_BODY
from sidecar.reporting.progress import Result
from sidecar.transfer.apply import Vanished
from sidecar.tree import ObjectKey
from tests.fakes.device import Device

STATS = [{"source": "stats", "target": "statistics"}]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, egress=STATS) as device:
        yield device


def test_every_file_below_the_source_becomes_an_object_below_the_target(device: Device) -> None:
    device.write("stats/a", "1")
    device.write("stats/deep/er/b c", "2")
    device.write("other/no", "3")
    tally = device.egress()
    assert device.objects() == {"statistics/a": "1", "statistics/deep/er/b c": "2"}
    assert (tally.result, tally.transferred, tally.moved_bytes, tally.pending_files) == (Result.OK, 2, 2, 0)


def test_the_whole_export_can_be_sent_but_never_what_is_ours(tmp_path: Path) -> None:
    with Device(tmp_path, egress=[{"source": ".", "target": "all"}]) as device:
        device.write("a", "1")
        device.egress()
        device.egress()
        assert device.objects() == {"all/a": "1"}


def test_an_object_carries_hash_mtime_and_writer(device: Device) -> None:
    file = device.write("stats/a", "1")
    os.utime(file, ns=(0, 1_500_000_000_123_456_789))
    device.egress()
    metadata = device.store.objects[ObjectKey("statistics/a")].info.metadata
    assert metadata[META_SHA256] == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert metadata[META_MTIME] == "1500000000.123456789"
    assert metadata[META_WRITER]


def test_nothing_changed_means_no_request_at_all(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    device.requests()
    tally = device.egress()
    assert device.requests() == []
    assert (tally.result, tally.planned) == (Result.OK, 0)


def test_a_changed_file_is_sent_again_and_nothing_else(device: Device) -> None:
    device.write("stats/a", "1")
    device.write("stats/b", "1")
    device.egress()
    device.requests()
    device.write("stats/a", "2")
    device.egress()
    assert device.requests() == ["put"]
    assert device.objects()["statistics/a"] == "2"


def test_a_touched_file_is_not_sent_again(device: Device) -> None:
    file = device.write("stats/a", "1")
    device.egress()
    device.requests()
    os.utime(file, (1, 1))
    tally = device.egress()
    assert (device.requests(), tally.done, tally.transferred) == ([], 1, 0)
    assert device.egress().planned == 0


def test_a_file_replaced_by_an_equal_one_is_not_sent_again(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    device.requests()
    twin = device.write("stats/twin", "1")
    twin.rename(device.export / "stats/a")
    device.egress()
    assert device.requests() == []


def test_same_size_and_mtime_but_other_content_is_seen_by_its_ctime(device: Device) -> None:
    device.write("stats/a", "1", age=50)
    device.egress()
    device.write("stats/a", "2", age=50)
    device.egress()
    assert device.objects()["statistics/a"] == "2"


def test_a_young_file_is_compared_once_more_after_a_minute(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.write("stats/a", "1", age=1)
    device.egress()
    # A write through mmap to a page that is dirty already moves nothing that stat shows.
    before = os.stat(device.export / "stats/a")
    rooms = [f"sidecar.{room}.fingerprint_of" for room in ("local.files", "local.directories", "transfer.upload")]
    from sidecar.local.directories import fingerprint_of

    device.write("stats/a", "2", age=1)
    for name in rooms:
        monkeypatch.setattr(
            name, lambda status: fingerprint_of(before) if status.st_size == 1 else fingerprint_of(status)
        )
    real = os.stat

    def stat(name: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        status = real(name, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return before if name == "a" and dir_fd is not None else status  # as the walk looks

    monkeypatch.setattr(os, "stat", stat)
    device.egress()
    assert device.objects()["statistics/a"] == "1", "nothing that stat shows has moved"
    device.pass_time(61)
    device.egress()
    assert device.objects()["statistics/a"] == "2"


def test_a_removed_file_stays_in_the_bucket(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    (device.export / "stats/a").unlink()
    assert device.egress().result is Result.OK
    assert device.objects() == {"statistics/a": "1"}


def test_an_emptied_mount_forgets_nothing(device: Device) -> None:
    for number in range(20):
        device.write(f"stats/{number}", "x")
    device.egress()
    (device.export / "stats").rename(device.export / "gone")
    (device.export / "stats").mkdir()
    device.egress()
    (device.export / "stats").rmdir()
    (device.export / "gone").rename(device.export / "stats")
    device.requests()
    device.egress()
    assert device.requests() == [], "the files came back as they were"


def test_a_missing_source_is_a_reason_and_holds_nothing_up(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    tally = device.egress()
    (line,) = [record for record in caplog.records if record.message == "cycle"]
    assert line.__dict__["fields"]["reasons"] == {"missing_source": 1}
    assert (tally.result, dict(tally.reasons), tally.complete) == (Result.PARTIAL, {"missing_source": 1}, True)
    assert device.engine.readyz().ok
    assert device.metric("file_errors_total", direction="egress", reason="missing_source") == 1


def test_links_fifos_and_sockets_are_passed_over_and_counted(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.write("stats/a", "1")
    (tmp_path / "secret").write_text("not yours")
    (device.export / "stats/file-link").symlink_to(tmp_path / "secret")
    (device.export / "stats/directory-link").symlink_to(tmp_path)
    (device.export / "stats/loop").symlink_to(".")
    os.mkfifo(device.export / "stats/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(device.export / "stats")  # the path of a socket is short
        listener.bind("socket")
        tally = device.egress()
    assert device.objects() == {"statistics/a": "1"}
    assert (tally.result, tally.skipped) == (Result.OK, 5)


def test_a_source_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/passwd").write_text("x")
    with Device(tmp_path, egress=STATS) as device:
        (device.export / "stats").symlink_to(tmp_path / "elsewhere")
        tally = device.egress()
        assert device.objects() == {}
        assert dict(tally.reasons) == {"unreadable": 1}


def test_a_name_that_is_not_utf8_is_pending_and_named(device: Device) -> None:
    device.write("stats/good", "1")
    with open(os.fsencode(device.export / "stats") + b"/bad\xff", "wb") as file:
        file.write(b"x")
    tally = device.egress()
    assert device.objects() == {"statistics/good": "1"}
    assert (tally.pending_files, dict(tally.reasons)) == (1, {"not_utf8": 1})
    assert tally.failures[0]["name"] == "bad\\xff"


def test_a_key_that_would_be_too_long_is_quarantined(tmp_path: Path) -> None:
    target = "/".join(["t" * 200] * 4)
    with Device(tmp_path, egress=[{"source": "stats", "target": target}]) as device:
        device.write("stats/" + "/".join(["d" * 200, "f" * 200]), "1")
        device.write("stats/short", "1")
        tally = device.egress()
        assert list(device.objects()) == [f"{target}/short"]
        assert (tally.pending_files, tally.quarantined_files, tally.complete) == (1, 1, True)


def test_conflict_copies_are_never_sent(device: Device) -> None:
    device.write("stats/a.conflict-20261122T101500Z", "1")
    device.write("stats/a.conflict-20261122T101500Z-2", "1")
    device.write("stats/a.conflict-notes", "mine")
    device.egress()
    assert device.objects() == {"statistics/a.conflict-notes": "mine"}


def test_one_failing_file_stops_nothing_else_and_goes_next_time(device: Device) -> None:
    for name in "abc":
        device.write(f"stats/{name}", name)

    def fail(operation: str, key: str) -> None:
        if (operation, key) == ("put", "statistics/b"):
            raise Unreachable(operation, key, "gone")

    device.store.before = fail
    tally = device.egress()
    assert sorted(device.objects()) == ["statistics/a", "statistics/c"]
    assert (tally.result, tally.pending_files, tally.pending_bytes) == (Result.PARTIAL, 1, 1)
    assert device.metric("file_errors_total", direction="egress", reason="unreachable") == 1
    device.store.before = lambda _operation, _key: None
    assert device.egress().result is Result.OK
    assert len(device.objects()) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AccessDenied("put", "key", "no"), "access_denied"),
        (NoSuchBucket("put", "key", "no"), "no_such_bucket"),
    ],
)
def test_what_concerns_everything_is_tried_a_few_times_only(device: Device, error: Exception, reason: str) -> None:
    for number in range(200):
        device.write(f"stats/{number:03}", "x")

    def fail(operation: str, _key: str) -> None:
        if operation != "list":
            raise error

    device.store.before = fail
    tally = device.egress()
    assert (tally.pending_files, dict(tally.reasons)) == (200, {reason: 200})
    assert device.requests().count("put") < 40
    device.store.before = lambda _operation, _key: None
    assert device.egress().pending_files == 0


def test_a_server_that_is_down_costs_a_bounded_number_of_requests(device: Device) -> None:
    for number in range(500):
        device.write(f"stats/{number:03}", "x")

    def fail(operation: str, key: str) -> None:
        raise Unreachable(operation, key, "refused")

    device.store.before = fail
    tally = device.egress()
    assert tally.result is Result.FAILED
    assert len(device.requests()) < 60
    assert device.engine.livez().ok, "a server that is down is no reason to restart"
    assert not device.engine.readyz().ok


def test_keys_that_may_not_list_can_still_send(device: Device) -> None:
    device.write("stats/a", "1")

    def no_list(operation: str, key: str) -> None:
        if operation == "list":
            raise AccessDenied(operation, key, "no")

    device.store.before = no_list
    assert device.egress().result is Result.OK
    assert device.objects() == {"statistics/a": "1"}


def test_reconcile_sends_again_what_the_bucket_lost(device: Device) -> None:
    device.write("stats/a", "1")
    device.write("stats/b", "2")
    device.egress()
    del device.store.objects[ObjectKey("statistics/a")]
    device.egress()
    assert "statistics/a" not in device.objects(), "an ordinary cycle does not list"
    device.pass_time(3601)
    device.egress()
    assert device.objects() == {"statistics/a": "1", "statistics/b": "2"}


def test_another_bucket_gets_everything_again(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    device.store.objects.clear()
    device.set_storage({**_keys(), "BUCKET_NAME": "other"})
    device.egress()
    assert device.objects() == {"statistics/a": "1"}
    assert [storage.bucket for storage in device.opened] == ["bucket", "other"]


def test_a_lost_index_costs_heads_and_no_bodies(device: Device) -> None:
    for name in "abc":
        device.write(f"stats/{name}", name)
    device.egress()
    device.close()
    for file in (device.export / ".data-sync").glob("index*"):
        file.unlink()
    device.requests()
    device.start()
    tally = device.egress()
    assert sorted(device.requests()) == ["head", "head", "head", "list"]
    assert (tally.transferred, tally.done) == (0, 3)


def test_a_bucket_filled_by_another_tool_is_adopted_by_md5(device: Device) -> None:
    device.put("statistics/a", "same")
    device.write("stats/a", "same")
    tally = device.egress()
    assert (tally.transferred, list(device.objects())) == (0, ["statistics/a"])


def test_a_foreign_object_is_copied_aside_before_it_is_replaced(device: Device) -> None:
    device.put("statistics/a", "theirs")
    device.write("stats/a", "ours")
    device.egress()
    objects = device.objects()
    assert objects.pop("statistics/a") == "ours"
    ((aside, body),) = objects.items()
    assert aside.startswith("statistics/a.conflict-")
    assert body == "theirs"


def test_a_foreign_write_since_we_last_looked_is_found_by_the_condition(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    device.put("statistics/a", "theirs")
    device.write("stats/a", "2")
    device.egress()
    assert sorted(device.objects().values()) == ["2", "theirs"]


def test_a_copy_set_aside_never_replaces_another(device: Device) -> None:
    for life in ("1", "2"):  # what is remembered of contended keys ends with the process, the second does not
        device.put("statistics/a", f"theirs {life}")
        device.write("stats/a", f"ours {life}")
        device.egress()
        device.restart()
    assert sorted(device.objects().values()) == ["ours 2", "theirs 1", "theirs 2"]


def test_a_long_key_is_set_aside_under_a_name_that_fits(device: Device) -> None:
    name = "d/" * 100 + "n" * 250
    device.put(f"statistics/{name}", "theirs")
    device.write(f"stats/{name}", "ours")
    device.egress()
    assert sorted(device.objects().values()) == ["ours", "theirs"]
    assert max(len(part) for key in device.objects() for part in key.split("/")) <= 255


def test_two_writers_on_one_key_are_contended_not_a_flood_of_copies(device: Device) -> None:
    device.write("stats/a", "1")
    device.egress()
    for number in range(2, 6):
        device.put("statistics/a", f"theirs {number}")
        device.write("stats/a", f"ours {number}")
        tally = device.egress()
    assert (dict(tally.reasons), tally.pending_files) == ({"contended": 1}, 1)
    assert sum(".conflict-" in key for key in device.objects()) == 1
    device.pass_time(3601)
    device.egress()
    assert device.objects()["statistics/a"] == "ours 5"


def test_our_own_put_whose_answer_was_lost_is_recognised(device: Device) -> None:
    device.write("stats/a", "1")
    lost: list[str] = []

    def lose_answer(operation: str, key: str) -> None:
        if operation == "put" and not lost:
            lost.append(key)
            device.store.before = lambda _operation, _key: None
            body = (device.export / "stats/a").read_bytes()
            device.store.put(ObjectKey(key), body, _metadata_of(device, body))
            raise Unreachable(operation, key, "reset")

    device.store.before = lose_answer
    tally = device.egress()
    assert lost
    assert (tally.result, list(device.objects())) == (Result.OK, ["statistics/a"])


def test_large_files_go_whole_and_are_not_sent_twice(device: Device) -> None:
    body = os.urandom(SMALL_BODY + 12345)
    device.write("stats/big", body)
    device.egress()
    assert device.store.objects[ObjectKey("statistics/big")].body == body
    device.requests()
    os.utime(device.export / "stats/big", (5, 5))
    device.egress()
    assert device.requests() == []


def test_a_file_that_vanishes_before_it_is_opened_is_no_loss(device: Device) -> None:
    device.write("stats/a", "1")
    device.write("stats/b", "2")

    def remove(operation: str, _key: str) -> None:
        if operation == "list":
            return
        (device.export / "stats/b").unlink(missing_ok=True)

    # One worker at a time is enough to have `a` sent before `b` is opened.
    device.store.before = remove
    tally = device.egress()
    assert set(tally.reasons) <= {Vanished.reason}
    assert device.egress().result is Result.OK


def _keys() -> dict[str, str]:
    from tests.fakes.device import KEYS

    return dict(KEYS)


def _metadata_of(device: Device, body: bytes) -> dict[str, str]:
    import hashlib
    import json

    writer = json.loads((device.export / ".data-sync/owner").read_text())["id"]
    return {META_SHA256: hashlib.sha256(body).hexdigest(), META_WRITER: writer}


def test_on_a_full_disk_egress_goes_on_and_remembers(device: Device) -> None:
    device.write("stats/first", "1")
    device.egress()
    index = device.engine._syncer._index  # type: ignore[union-attr]
    (pages,) = index._writer.execute("PRAGMA page_count").fetchone()
    index._writer.execute(f"PRAGMA max_page_count = {pages}")  # what a full disk says, without one
    for number in range(600):
        device.write(f"stats/{number:03}", "x")
    tally = device.egress()
    assert (tally.result, tally.transferred) == (Result.OK, 600)
    assert index._rows, "nothing of it could be written"
    device.requests()
    assert device.egress().planned == 0, "what is remembered in memory counts"
    device.pass_time(601)
    assert device.egress().planned == 0, "by a walk too"
    assert device.requests() == []
    index._writer.execute("PRAGMA max_page_count = 100000")
    device.write("stats/last", "x")
    device.egress()
    assert not index._rows
    device.restart()
    device.requests()
    assert (device.egress().transferred, device.requests()) == (0, ["list"])


def test_keys_that_may_not_list_and_sent_nothing_are_not_ready(device: Device) -> None:
    (device.export / "stats").mkdir()

    def no_list(operation: str, key: str) -> None:
        if operation == "list":
            raise AccessDenied(operation, key, "no")

    device.store.before = no_list
    for _ in range(2):
        tally = device.egress()
        assert (tally.reasons["access_denied"], tally.complete) == (1, False), "in every cycle, not only the first"
        assert not device.engine.readyz().ok
    device.write("stats/a", "1")
    assert device.egress().complete, "a PUT shows that they are good for something"
    assert device.engine.readyz().ok
    assert device.egress().complete


def test_other_keys_are_given_a_listing_at_once(device: Device) -> None:
    (device.export / "stats").mkdir()

    def deny(operation: str, key: str) -> None:
        raise AccessDenied(operation, key, "no")

    device.store.before = deny
    assert not device.egress().complete
    device.store.before = lambda _operation, _key: None
    device.set_storage({**_keys(), "AWS_SECRET_ACCESS_KEY": "another-planted-secret"})
    device.requests()
    assert device.egress().complete
    assert device.requests() == ["list"]
    assert device.engine.readyz().ok


def test_a_strangers_object_too_large_for_one_copy_is_set_aside_in_parts(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.transfer.upload.LARGEST_COPY", 3)
    device.put("statistics/a", "theirs")
    device.write("stats/a", "ours")
    assert device.egress().complete
    assert sorted(device.objects().values()) == ["ours", "theirs"]
    assert "copy_large" in device.requests()


def test_a_copy_aside_that_failed_is_no_contention(device: Device) -> None:
    def refuse(operation: str, key: str) -> None:
        if operation == "copy":
            raise Unreachable(operation, key, "down")

    device.put("statistics/a", "theirs")
    device.write("stats/a", "ours")
    device.store.before = refuse
    assert device.egress().reasons["unreachable"] == 1
    device.store.before = lambda _operation, _key: None
    assert device.egress().complete, "in the next cycle, not in an hour"
    assert sorted(device.objects().values()) == ["ours", "theirs"]
