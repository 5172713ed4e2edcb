"""Ingress on the whole engine: what is brought, what is kept, and that nothing local is ever lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import Unreachable
from sidecar.limits import Floor
from sidecar.remote.store import META_MTIME, META_SHA256
from sidecar.reporting.progress import Result
from sidecar.tree import ObjectKey
from tests.fakes.device import Device

DATA = [{"source": "remote/data", "target": "in"}]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, ingress=DATA) as device:
        yield device


def test_every_object_below_the_source_becomes_a_file_below_the_target(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.put("remote/data/deep/er/b c", "2")
    device.put("remote/database/no", "3")
    device.put("remote/data", "4")
    tally = device.ingress()
    assert device.files() == {"in/a": "1", "in/deep/er/b c": "2"}
    assert (tally.result, tally.transferred, tally.moved_bytes) == (Result.OK, 2, 2)


def test_the_whole_export_can_be_a_target_but_never_what_is_ours(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=[{"source": "remote", "target": "."}]) as device:
        device.put("remote/a", "1")
        device.put("remote/.data-sync/owner", "evil")
        tally = device.ingress()
        assert device.files() == {"a": "1"}
        assert "evil" not in (device.export / ".data-sync/owner").read_text()
        assert tally.quarantined_files == 1


def test_nothing_changed_means_only_the_listing(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.requests()
    tally = device.ingress()
    assert (device.requests(), tally.planned) == (["list"], 0)


def test_a_changed_object_replaces_its_file(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.put("remote/data/a", "two")
    device.ingress()
    assert device.files() == {"in/a": "two"}


def test_a_file_gets_the_mtime_of_its_writer_or_else_the_servers(device: Device) -> None:
    device.put("remote/data/a", "1", {META_MTIME: "1500000000.123456789"})
    device.put("remote/data/b", "1")
    device.put("remote/data/c", "1", {META_MTIME: "yesterday"})
    device.ingress()
    assert os.stat(device.export / "in/a").st_mtime_ns == 1_500_000_000_123_456_789
    assert os.stat(device.export / "in/b").st_mtime == device.now
    assert os.stat(device.export / "in/c").st_mtime == device.now


def test_a_removed_object_stays_on_the_device(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.store.objects.clear()
    assert device.ingress().result is Result.OK
    assert device.files() == {"in/a": "1"}


def test_a_file_that_the_workload_deleted_is_fetched_again(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    (device.export / "in/a").unlink()
    device.ingress()
    assert device.files() == {"in/a": "1"}


def test_restore_false_leaves_it_deleted_until_the_object_changes(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=[{**DATA[0], "restore": False}]) as device:
        device.put("remote/data/a", "1")
        device.ingress()
        (device.export / "in/a").unlink()
        device.ingress()
        assert device.files() == {}
        device.put("remote/data/a", "2")
        device.ingress()
        assert device.files() == {"in/a": "2"}


def test_a_local_edit_stays_while_the_object_stands_still(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.write("in/a", "edited")
    device.requests()
    device.ingress()
    assert (device.files(), device.requests()) == ({"in/a": "edited"}, ["list"])


def test_both_changed_keeps_both(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.write("in/a", "local")
    device.put("remote/data/a", "remote")
    device.ingress()
    files = device.files()
    assert files.pop("in/a") == "remote"
    ((name, content),) = files.items()
    assert (name, content) == ("in/a.conflict-20270115T080000Z", "local")
    device.ingress()
    assert len(device.files()) == 2, "the next plan is empty"


def test_a_file_that_was_there_before_us_is_kept_beside(device: Device) -> None:
    device.write("in/a", "mine")
    device.put("remote/data/a", "theirs")
    device.ingress()
    assert sorted(device.files().values()) == ["mine", "theirs"]
    assert device.read("in/a") == "theirs"


def test_an_equal_file_that_was_there_before_us_is_adopted(device: Device) -> None:
    device.write("in/a", "1")
    sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    device.put("remote/data/a", "1", {META_SHA256: sha256})
    tally = device.ingress()
    assert (device.files(), tally.transferred, tally.done) == ({"in/a": "1"}, 0, 1)


def test_conflict_names_of_long_names_still_fit_and_two_do_not_collide(device: Device) -> None:
    name = "ü" * 127
    for version in ("1", "2", "3"):
        device.put(f"remote/data/{name}", f"remote {version}")
        device.ingress()
        device.write(f"in/{name}", f"local {version}")
    device.put(f"remote/data/{name}", "last")
    device.ingress()
    assert sorted(device.files().values()) == ["last", "local 1", "local 2", "local 3"]
    assert all(len(os.fsencode(os.path.basename(path))) <= 255 for path in device.files())


def test_a_late_write_through_an_open_descriptor_is_kept(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    with open(device.export / "in/a", "a") as writer:
        device.put("remote/data/a", "2")
        device.ingress()
        writer.write(" and more")
        device.ingress()
        writer.write(" and still more")
    device.ingress()
    assert sorted(device.files().values()) == ["1 and more and still more", "2"]
    assert os.listdir(device.export / ".data-sync/staging/held") == []


def test_a_replaced_file_nobody_wrote_to_is_gone_after_two_cycles(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()
    device.put("remote/data/a", "2")
    device.ingress()
    assert len(os.listdir(device.export / ".data-sync/staging/held")) == 1
    device.ingress()
    device.ingress()
    assert os.listdir(device.export / ".data-sync/staging/held") == []
    assert device.files() == {"in/a": "2"}


@pytest.mark.parametrize(
    ("case", "key", "body"),
    [
        ("dots up", "remote/data/../evil", "x"),
        ("a dot", "remote/data/./a", "x"),
        ("an empty component", "remote/data/a//b", "x"),
        ("a leading slash", "remote/data//etc/passwd", "x"),
        ("NUL", "remote/data/a\0b", "x"),
        ("a long component", "remote/data/" + "n" * 256, "x"),
        ("a directory with a content", "remote/data/dir/", "x"),
    ],
)
def test_a_key_that_is_no_path_is_quarantined_and_spoils_nothing(
    device: Device, tmp_path: Path, case: str, key: str, body: str
) -> None:
    device.put(key, body)
    device.put("remote/data/zzz", "good")
    before = {str(path) for path in tmp_path.rglob("*") if "export" not in path.parts}
    tally = device.ingress()
    assert device.files() == {"in/zzz": "good"}, case
    assert (tally.quarantined_files, tally.complete, tally.result) == (1, True, Result.PARTIAL)
    assert {str(path) for path in tmp_path.rglob("*") if "export" not in path.parts} == before


def test_names_that_only_look_dangerous_pass(device: Device) -> None:
    names = ["file..txt", "...", "a b", "ключ", "tab\there", "new\nline", "%2e%2e", "back\\slash", "-rf", "~", "*"]
    for name in names:
        device.put(f"remote/data/{name}", name)
    device.ingress()
    assert device.files("in") == {name: name for name in names}


def test_the_marker_of_an_empty_directory_is_nothing(device: Device) -> None:
    device.put("remote/data/", "")
    device.put("remote/data/dir/", "")
    tally = device.ingress()
    assert (device.files(), tally.result, tally.planned) == ({}, Result.OK, 0)


def test_a_file_and_a_directory_of_one_name_have_one_winner_for_ever(device: Device) -> None:
    device.put("remote/data/a", "file")
    device.put("remote/data/a-b", "between")
    device.put("remote/data/a/b", "below")
    for _ in range(3):
        tally = device.ingress()
        assert device.files() == {"in/a": "file", "in/a-b": "between"}
        assert tally.quarantined_files == 1


@pytest.mark.parametrize("kind", ["file link", "directory link", "directory", "fifo"])
def test_what_stands_in_the_way_is_refused_and_left_as_it_was(device: Device, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("untouched")
    way = device.export / "in/a"
    way.parent.mkdir()
    if kind == "file link":
        way.symlink_to(outside / "a")
    elif kind == "directory link":
        way.symlink_to(outside)
    elif kind == "directory":
        way.mkdir()
    else:
        os.mkfifo(way)
    device.put("remote/data/a", "theirs")
    device.put("remote/data/b", "good")
    tally = device.ingress()
    assert device.read("in/b") == "good"
    assert dict(tally.reasons) == {"not_a_file": 1}
    assert "get" not in [operation for operation, key in device.store.requests if key.endswith("/a")]
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"a": "untouched"}


def test_a_linked_parent_is_never_written_through(device: Device, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (device.export / "in").mkdir()
    (device.export / "in/dir").symlink_to(outside)
    device.put("remote/data/dir/evil", "x")
    tally = device.ingress()
    assert dict(tally.reasons) == {"not_a_directory": 1}
    assert list(outside.iterdir()) == []


def test_a_target_that_is_a_link_is_never_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with Device(tmp_path, ingress=DATA) as device:
        (device.export / "in").symlink_to(outside)
        device.put("remote/data/evil", "x")
        device.ingress()
        assert list(outside.iterdir()) == []


def test_a_body_that_breaks_off_leaves_nothing_visible_and_comes_next_time(device: Device) -> None:
    device.put("remote/data/a", "x" * 200_000)
    device.store.cut_body = 100_000
    tally = device.ingress()
    assert (device.files(), tally.pending_files) == ({}, 1)
    assert os.listdir(device.export / ".data-sync/staging/incoming") == []
    device.store.cut_body = None
    assert device.ingress().result is Result.OK
    assert len(device.read("in/a")) == 200_000


def test_a_body_that_is_not_what_its_hash_says_is_refused(device: Device) -> None:
    device.put("remote/data/a", "x", {META_SHA256: "0" * 64})
    tally = device.ingress()
    assert (device.files(), dict(tally.reasons)) == ({}, {"corrupted": 1})


def test_an_object_that_changes_while_it_is_fetched_comes_as_a_whole_later(device: Device) -> None:
    device.put("remote/data/a", "old")

    def change(operation: str, _key: str) -> None:
        if operation == "get":
            device.store.before = lambda _operation, _key: None
            device.put("remote/data/a", "new")

    device.store.before = change
    assert device.ingress().pending_files == 1
    device.ingress()
    assert device.files() == {"in/a": "new"}


def test_a_broken_listing_is_never_read_as_an_empty_one(device: Device) -> None:
    device.put("remote/data/a", "1")
    device.ingress()

    def fail(operation: str, key: str) -> None:
        raise Unreachable(operation, key, "gone")

    device.store.before = fail
    tally = device.ingress()
    assert (tally.result, device.files()) == (Result.FAILED, {"in/a": "1"})
    assert not tally.complete


def test_ingress_keeps_the_floor_and_goes_on_with_what_fits(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    with Device(tmp_path, ingress=DATA, floor=Floor(free - 50 * 2**20, 0.0)) as device:
        body = b"x" * (60 * 2**20)
        device.store.put_large(ObjectKey("remote/data/large"), len(body), [body], {}, None, lambda: None)
        device.put("remote/data/small", "x")
        tally = device.ingress()
        assert list(device.files()) == ["in/small"]
        assert (tally.limited, tally.pending_files, tally.complete) == (True, 1, True)
        assert device.metric("ingress_limited") == 1
        assert "floor" in tally.failures[0]["error"]


def test_the_ceiling_counts_what_is_there_already_and_makes_room_again(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=DATA, ingress_max_bytes=1000) as device:
        for number in range(4):
            device.put(f"remote/data/{number}", "x" * 400)
        device.ingress()
        assert len(device.files()) == 2
        assert device.ingress().limited, "what is there still counts"
        for path in list(device.files()):
            (device.export / path).rename(tmp_path / path.replace("/", "-"))
        for number in range(2):
            del device.store.objects[ObjectKey(f"remote/data/{number}")]
        device.ingress()
        assert len(device.files()) == 2


def test_ingress_and_egress_of_one_directory_do_not_echo(tmp_path: Path) -> None:
    both: dict[str, Any] = {"allowOverlap": True}
    with Device(
        tmp_path,
        egress=[{"source": "shared", "target": "remote/data", **both}],
        ingress=[{"source": "remote/data", "target": "shared", **both}],
    ) as device:
        device.write("shared/mine", "1")
        device.put("remote/data/theirs", "2")
        device.cycle()
        device.cycle()
        device.requests()
        device.cycle()
        assert device.requests() == ["list"]
        assert device.files("shared") == {"mine": "1", "theirs": "2"}
        assert device.objects() == {"remote/data/mine": "1", "remote/data/theirs": "2"}


def test_a_thousand_objects_arrive_in_batches(device: Device) -> None:
    for number in range(1000):
        device.put(f"remote/data/{number % 7}/{number}", str(number))
    assert device.ingress().transferred == 1000
    assert device.files("in") == {f"{number % 7}/{number}": str(number) for number in range(1000)}
    assert device.ingress().planned == 0
