"""The engine: waiting, readiness, one holder of a directory, following edits, and an orderly end."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.logs import redact
from sidecar.engine import IN_SYNC, MISCONFIGURED, SOME_FAILED
from sidecar.errors import AccessDenied, NoSuchBucket, Unreachable
from sidecar.state.ownership import Lock
from sidecar.tree import ObjectKey
from tests.fakes.device import KEYS, Device

STATS = [{"source": "stats", "target": "statistics"}]
DATA = [{"source": "remote", "target": "in"}]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        yield device


def test_missing_keys_are_waited_for_and_picked_up_without_a_restart(device: Device) -> None:
    device.set_storage({"BUCKET_HOST": "s3.example"})
    device.cycle()
    status = device.progress.status(with_names=True)
    assert status["waiting_for"] == (
        "Missing field BUCKET_NAME in resource edge/config; "
        "Missing field AWS_ACCESS_KEY_ID in resource edge/keys; "
        "Missing field AWS_SECRET_ACCESS_KEY in resource edge/keys"
    )
    assert not device.engine.readyz().ok
    assert device.engine.livez().ok
    device.set_storage(KEYS)
    device.egress()
    assert device.objects() == {"statistics/a": "1"}
    assert device.engine.readyz().ok
    assert device.progress.status(with_names=True)["waiting_for"] is None


def test_keys_that_vanish_are_waited_for_again(device: Device) -> None:
    device.egress()
    device.set_storage({})
    device.write("stats/b", "2")
    assert not any(device.cycle().values())
    assert "Missing field" in str(device.progress.status(with_names=True)["waiting_for"])
    device.set_storage(KEYS)
    device.egress()
    assert sorted(device.objects()) == ["statistics/a", "statistics/b"]


def test_rotated_keys_are_taken_over_whole(device: Device) -> None:
    device.egress()
    device.set_storage({**KEYS, "AWS_ACCESS_KEY_ID": "second", "AWS_SECRET_ACCESS_KEY": "second-secret"})
    device.egress()
    keys = [(storage.access_key_id, storage.secret_access_key) for storage in device.opened]
    assert keys == [("access", "planted-secret"), ("second", "second-secret")]


def test_secrets_are_hidden_from_the_moment_they_are_known(device: Device) -> None:
    device.egress()
    assert "planted-secret" not in redact("it said planted-secret")


def test_ready_stays_known_across_a_restart_with_the_same_mappings(device: Device) -> None:
    device.egress()
    device.restart()
    assert not device.engine.readyz().ok
    device.store.before = _unreachable
    device.cycle()
    assert device.engine.readyz().ok, "this directory was complete before, and the link is down now"


def test_ready_is_not_believed_of_other_mappings(tmp_path: Path) -> None:
    with Device(tmp_path, egress=STATS) as before:
        before.write("stats/a", "1")
        before.egress()
    with Device(tmp_path, egress=STATS, ingress=DATA) as after:
        after.store.before = _unreachable
        after.cycle()
        assert not after.engine.readyz().ok


@pytest.mark.parametrize(
    ("case", "code"),
    [("in sync", IN_SYNC), ("one fails", SOME_FAILED), ("no keys", MISCONFIGURED), ("wrong keys", MISCONFIGURED)],
)
def test_once(device: Device, case: str, code: int) -> None:
    if case == "no keys":
        device.set_storage({})
    if case == "one fails":
        device.store.before = lambda operation, key: _unreachable(operation, key) if operation == "put" else None
    if case == "wrong keys":
        device.store.before = _denied
    assert device.engine.once() == code


def test_once_says_2_for_a_missing_bucket_and_1_for_a_missing_source(device: Device, tmp_path: Path) -> None:
    device.store.before = _no_bucket
    assert device.engine.once() == MISCONFIGURED
    with Device(tmp_path / "other", egress=STATS) as other:
        assert other.engine.once() == SOME_FAILED


def test_once_says_1_while_another_sidecar_holds_the_directory(device: Device, tmp_path: Path) -> None:
    device.egress()
    with Device(tmp_path, egress=STATS) as second:
        assert second.engine.once() == SOME_FAILED


def test_one_sidecar_syncs_and_the_other_answers_as_it_would(device: Device, tmp_path: Path) -> None:
    device.egress()
    with Device(tmp_path, egress=STATS, store=device.store) as second:
        assert not second.engine._take_over()
        assert second.engine.readyz().ok
        status = second.progress.status(with_names=False)
        assert (status["role"], status["mappings"][0]["indexed_files"]) == ("standby", 1)
        assert second.metric("lock_held") == 0
        device.close()
        assert second.engine._take_over(), "it takes over at once"
        assert second.metric("lock_held") == 1
        second.egress()
        device.start()


def test_edited_mappings_are_followed_and_removed_ones_flushed_first(device: Device) -> None:
    device.egress()
    device.write("stats/b", "2")
    device.write("new/c", "3")
    (device.podinfo_dir / "mappings").write_text('{"egress": [{"source": "new", "target": "elsewhere"}]}')
    device.cycle()
    assert device.objects() == {"statistics/a": "1", "statistics/b": "2", "elsewhere/c": "3"}
    device.write("stats/late", "4")
    device.cycle()
    assert "statistics/late" not in device.objects()


def test_a_bad_edit_is_told_and_the_last_good_mappings_go_on(device: Device) -> None:
    (device.podinfo_dir / "mappings").write_text('{"egress": [{"source": "/", "target": "x"}]}')
    device.egress()
    assert device.objects() == {"statistics/a": "1"}
    (notice,) = device.progress.status(with_names=True)["notices"]
    assert "the last good mappings stay in force" in notice


def test_one_failing_mapping_stops_no_other(tmp_path: Path) -> None:
    with Device(tmp_path, egress=[*STATS, {"source": "logs", "target": "logs"}], ingress=DATA) as device:
        device.write("logs/a", "1")
        device.put("remote/b", "2")

        def fail(operation: str, key: str) -> None:
            if key.startswith("statistics"):
                raise AccessDenied(operation, key, "no")

        device.write("stats/a", "1")
        device.store.before = fail
        device.cycle()
        assert "logs/a" in device.objects()
        assert device.read("in/b") == "2"


def test_a_broken_index_is_set_aside_while_running(device: Device) -> None:
    device.egress()
    device.close()
    index = device.export / ".data-sync/index"
    content = bytearray(index.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    index.write_bytes(content)
    device.start()
    for _ in range(3):
        device.cycle()
    assert device.objects() == {"statistics/a": "1"}
    assert device.egress().complete
    assert (device.export / ".data-sync/index.broken").exists()


def _tidied(device: Device) -> None:
    shutil.rmtree(device.export / ".data-sync")


def _without_index(device: Device) -> None:
    for file in (device.export / ".data-sync").glob("index*"):
        file.unlink()


def _swapped(device: Device) -> None:
    shutil.copytree(device.export, device.export.parent / "copy", ignore=shutil.ignore_patterns(".data-sync"))
    device.export.rename(device.export.parent / "away")
    (device.export.parent / "copy").rename(device.export)


@pytest.mark.parametrize("happen", [_tidied, _without_index, _swapped])
def test_a_directory_that_lost_what_is_ours_is_looked_at_afresh_and_still_locked(
    device: Device, tmp_path: Path, happen: Callable[[Device], None]
) -> None:
    device.cycle()
    happen(device)
    device.write("stats/c", "3")
    for _ in range(3):
        device.pass_time(20)
        device.cycle()
    assert device.objects() == {"statistics/a": "1", "statistics/c": "3"}
    assert device.egress().complete
    with Device(tmp_path, egress=STATS, store=device.store) as second:
        assert not second.engine._take_over(), "the lock that was taken again keeps others out"


def test_a_lock_that_another_took_meanwhile_is_given_up(device: Device, tmp_path: Path) -> None:
    device.egress()
    (device.export / ".data-sync/lock").unlink()
    with Device(tmp_path, egress=STATS, store=device.store) as second:
        assert second.engine._take_over()
        assert not device.engine._take_over()
    assert device.engine._take_over()


def test_a_vanished_export_directory_is_said_and_picked_up_again(device: Device, tmp_path: Path) -> None:
    device.egress()
    device.close()
    device.export.rename(tmp_path / "away")
    device.start()
    runner = threading.Thread(target=device.engine.run)
    device.shutdown.request()
    runner.start()
    runner.join(10)
    assert not runner.is_alive()


def test_a_stop_sends_what_is_left_smallest_first(device: Device) -> None:
    device.egress()
    for size in (300, 1, 20):
        device.write(f"stats/{size}", "x" * size)
    device.requests()
    device.shutdown.request()
    device.engine._end()
    device.start()
    assert sorted(device.objects()) == ["statistics/1", "statistics/20", "statistics/300", "statistics/a"]


def test_what_could_not_be_sent_is_named_and_sent_by_the_next(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "termination-log"
    report.touch()
    monkeypatch.setattr("sidecar.engine.EXIT_REPORT", str(report))
    device.egress()
    device.write("stats/late", "2")
    device.store.before = _unreachable
    device.shutdown.request()
    device.engine._end()
    assert "stopped with unsent files" in caplog.text
    assert json.loads(report.read_text())["names"] == ["stats/late"]
    device.store.before = lambda _operation, _key: None
    device.start()
    device.egress()
    assert "statistics/late" in device.objects()


def test_when_everything_is_sent_the_last_words_say_so(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "termination-log"
    report.touch()
    monkeypatch.setattr("sidecar.engine.EXIT_REPORT", str(report))
    device.egress()
    device.write("stats/late", "2")
    device.shutdown.request()
    device.engine._end()
    device.start()
    assert json.loads(report.read_text()) == {"note": "everything is sent", "pending_files": 0}


def test_a_transfer_is_told_of_and_a_pass_without_one_is_none(device: Device) -> None:
    def last() -> object:
        return device.progress.status(with_names=False)["mappings"][0]["last_transfer"]

    device.egress()
    sent = last()
    device.pass_time(60)
    device.egress()
    assert sent is not None
    assert last() == sent


def test_after_the_grace_period_nothing_new_is_begun(device: Device) -> None:
    device.egress()
    device.write("stats/late", "2")
    device.shutdown._deadline = 0.0
    device.shutdown.request()
    device.requests()
    device.engine._end()
    assert device.requests() == []
    device.start()


def test_an_ingress_that_is_interrupted_by_the_stop_is_not_complete(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=DATA) as device:
        for number in range(100):
            device.put(f"remote/{number}", "x")

        def stop(operation: str, _key: str) -> None:
            if operation == "get":
                device.shutdown.request()

        device.store.before = stop
        tally = device.ingress()
        assert not tally.complete
        assert tally.transferred < 100
        assert not device.engine.readyz().ok


def test_livez_fails_only_when_the_engine_stands_still(device: Device) -> None:
    device.egress()
    assert device.engine.livez().ok
    device.pass_time(301)
    assert not device.engine.livez().ok


def test_the_lock_is_let_go_at_the_end(device: Device) -> None:
    device.egress()
    device.close()
    lock = Lock(str(device.export / ".data-sync"))
    assert lock.acquire()
    lock.release()
    device.start()


def test_status_names_files_only_where_asked(device: Device) -> None:
    device.store.before = lambda operation, key: _unreachable(operation, key) if operation == "put" else None
    device.egress()
    named = json.dumps(device.progress.status(with_names=True))
    unnamed = json.dumps(device.progress.status(with_names=False))
    assert "stats/a" in named
    assert "stats/a" not in unnamed
    assert "unreachable" in unnamed
    assert "planted-secret" not in named


def test_gauges_are_absent_until_known(device: Device) -> None:
    assert device.metric("pending_files", direction="egress") is None
    assert device.metric("files_transferred_total", direction="egress") == 0
    device.egress()
    assert device.metric("pending_files", direction="egress") == 0
    assert device.metric("pending_files", direction="ingress") is None
    assert device.metric("indexed_files", direction="egress") == 1
    assert device.metric("last_success_timestamp_seconds", direction="egress") == device.now


def test_the_age_of_the_oldest_pending_file_grows(device: Device) -> None:
    device.store.before = lambda operation, key: _unreachable(operation, key) if operation == "put" else None
    device.egress()
    first = device.metric("oldest_pending_age_seconds", direction="egress")
    device.pass_time(60)
    second = device.metric("oldest_pending_age_seconds", direction="egress")
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(60)


def _unreachable(operation: str, key: str) -> None:
    raise Unreachable(operation, key, "down")


def _denied(operation: str, key: str) -> None:
    raise AccessDenied(operation, key, "no")


def _no_bucket(operation: str, key: str) -> None:
    raise NoSuchBucket(operation, ObjectKey(key), "no")
