"""Large files: in parts and by ranges, verified, and one content or nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import ChangedWhileReading, NoRoom, Transient
from sidecar.limits import Memory
from sidecar.local.hashing import hash_parts, hash_whole
from sidecar.remote.store import META_SHA256, SMALL_BODY, NoRanges
from sidecar.reporting.tally import Result
from sidecar.transfer.ranges import LEAST, RANGE
from sidecar.tree import ObjectKey
from tests.fakes.device import Device

SIZE = LEAST + RANGE + 12_345
BODY = b"".join(hashlib.sha256(b"%d" % number).digest() * 2**15 for number in range(SIZE // 2**20 + 1))[:SIZE]
KEY = ObjectKey("remote/data/large")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, egress=[{"source": "out", "target": "up"}]) as device:
        yield device


@pytest.fixture
def down(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path, ingress=[{"source": "remote/data", "target": "in"}]) as device:
        device.store.put_large(KEY, SIZE, [BODY], {META_SHA256: hashlib.sha256(BODY).hexdigest()}, None, lambda: None)
        yield device


@pytest.mark.parametrize("age", [3600.0, 1.0], ids=["an old file", "a young file"])
def test_a_large_file_arrives_with_its_hash(up: Device, age: float) -> None:
    up.write("out/large", BODY, age=age)
    assert up.egress().result is Result.OK
    stored = up.store.objects[ObjectKey("up/large")]
    assert stored.body == BODY
    assert stored.info.metadata[META_SHA256] == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize("age", [3600.0, 1.0], ids=["an old file", "a young file"])
def test_a_large_file_that_only_grows_while_it_is_sent_is_a_good_snapshot(up: Device, age: float) -> None:
    path = up.write("out/large", BODY, age=age)

    def grow(operation: str, _key: str) -> None:
        if operation == "put_large" and path.stat().st_size == SIZE:
            with path.open("ab") as file:
                file.write(b"more")

    up.store.before = grow
    assert up.egress().transferred == 1
    assert up.store.objects[ObjectKey("up/large")].body == BODY


@pytest.mark.parametrize("age", [3600.0, 1.0], ids=["an old file", "a young file"])
def test_a_large_file_that_changes_while_it_is_sent_waits(up: Device, age: float) -> None:
    path = up.write("out/large", BODY, age=age)

    def change(operation: str, _key: str) -> None:
        if operation == "put_large":
            with path.open("r+b") as file:
                file.seek(SIZE // 2)
                file.write(b"x")

    up.store.before = change
    assert up.egress().reasons["changed_while_reading"] == 1
    assert up.store.objects == {}


def test_a_large_object_comes_by_ranges_and_is_verified(down: Device) -> None:
    assert down.ingress().result is Result.OK
    assert (down.export / "in/large").read_bytes() == BODY
    assert down.requests().count("get") == 4


def test_a_large_object_that_is_not_what_its_hash_says_is_never_visible(down: Device) -> None:
    down.store.put_large(KEY, SIZE, [BODY[::-1]], {META_SHA256: "00" * 32}, None, lambda: None)
    assert down.ingress().reasons["corrupted"] == 1
    assert down.files("in") == {}


def test_a_range_that_fails_ends_the_download_and_leaves_nothing(down: Device) -> None:
    down.store.cut_body = 100
    assert down.ingress().reasons["server"] == 1
    assert down.files("in") == {}
    assert list((down.export / ".data-sync/staging/incoming").iterdir()) == []


def test_a_range_that_fails_once_is_fetched_again(down: Device) -> None:
    trouble = [Transient("get", "large", "once")]

    def fail(operation: str, _key: str) -> None:
        if operation == "get" and trouble:
            raise trouble.pop()

    down.store.before = fail
    assert down.ingress().result is Result.OK
    assert (down.export / "in/large").read_bytes() == BODY


def test_a_server_without_ranges_gives_the_whole(down: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NoRanges("get", KEY)

    monkeypatch.setattr(down.store, "read_range", refuse)
    assert down.ingress().result is Result.OK
    assert (down.export / "in/large").read_bytes() == BODY


@pytest.mark.parametrize("size", [1, SMALL_BODY, SMALL_BODY + 1, 3 * SMALL_BODY - 1])
def test_parts_and_whole_are_hashed_alike(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY[:size])
    with path.open("rb") as file:
        whole, parts = hash_parts(file.fileno(), "file", size, SMALL_BODY, lambda: None)
        assert whole == hash_whole(file.fileno(), "file", size, lambda: None) == hashlib.sha256(BODY[:size]).digest()
    expected = {at: hashlib.sha256(BODY[at : min(at + SMALL_BODY, size)]).digest() for at in range(0, size, SMALL_BODY)}
    assert parts == expected


def test_a_file_that_shrank_is_changing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"short")
    with path.open("rb") as file:
        with pytest.raises(ChangedWhileReading):
            hash_whole(file.fileno(), "file", 2**21, lambda: None)
        with pytest.raises(ChangedWhileReading):
            hash_parts(file.fileno(), "file", 2**21, SMALL_BODY, lambda: None)


def test_memory_is_given_to_so_many_at_once_and_more_than_all_is_all() -> None:
    unit = 2**20
    memory = Memory(10 * unit)
    held: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(size: int) -> None:
        for _ in range(50):
            with memory.lease(size * unit):
                with lock:
                    held.append(min(size, 10))
                    most.append(sum(held))
                with lock:
                    held.remove(min(size, 10))

    threads = [threading.Thread(target=work, args=(size,)) for size in (3, 4, 5, 10, 99)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 10


def test_no_room_in_the_middle_of_a_range_is_told_as_such(down: Device) -> None:
    def full(operation: str, _key: str) -> None:
        if operation == "get":
            raise NoRoom("write", "in/large", "no space left")

    down.store.before = full
    assert down.ingress().reasons["no_room"] == 1
    assert down.files("in") == {}
