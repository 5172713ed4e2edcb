"""``delete: true``: what it removes, and every doubt on which it removes nothing (promise 4)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.mapping import Direction
from sidecar.errors import Unreachable
from sidecar.mirror import LEAST_LIMIT, MOST_LIMIT, doubt
from sidecar.reporting.progress import Result, Tally
from sidecar.sides import Seen
from sidecar.tree import ObjectKey
from tests.fakes.device import Device


@contextmanager
def sending(tmp_path: Path, count: int = 4, **options: Any) -> Iterator[Device]:
    """A device that has mirrored ``count`` files."""
    with Device(tmp_path, egress=[{"source": "out", "target": "t", "delete": True, **options}]) as device:
        for number in range(count):
            device.write(f"out/{number:03}", str(number))
        device.egress()
        yield device


@contextmanager
def fetching(tmp_path: Path, count: int = 4, **options: Any) -> Iterator[Device]:
    """A device that has fetched ``count`` objects."""
    with Device(tmp_path, ingress=[{"source": "r", "target": "in", "delete": True, **options}]) as device:
        for number in range(count):
            device.put(f"r/{number:03}", str(number))
        device.ingress()
        yield device


def held(tally: Tally) -> str:
    """Why removals were held back."""
    assert tally.reasons["delete_held"] == 1
    assert tally.result is Result.PARTIAL
    return next(failure["error"] for failure in tally.failures if failure["reason"] == "delete_held")


def remove(device: Device, *names: str) -> None:
    for name in names:
        (device.export / name).unlink()


def test_nothing_is_removed_unasked(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        remove(device, "out/000")
        device.pass_time(3601)
        assert device.egress().removed == 0
        assert len(device.objects()) == 4


def test_a_removed_file_is_removed_from_the_bucket_at_the_next_cycle(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        (device.export / "out/deep").mkdir()
        device.write("out/deep/a", "1")
        device.egress()
        device.requests()
        remove(device, "out/000", "out/deep/a")
        tally = device.egress()
        assert (tally.result, tally.removed) == (Result.OK, 2)
        assert sorted(device.objects()) == ["t/001", "t/002", "t/003"]
        assert sorted(device.requests()) == ["delete", "delete", "head", "head"]
        assert device.egress().removed == 0
        assert device.requests() == [], "and then all is quiet"


def test_a_directory_that_is_moved_away_is_noticed(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        for name in "ab":
            device.write(f"out/deep/{name}", name)
        device.egress()
        (device.export / "out/deep").rename(device.export / "elsewhere")
        assert device.egress().removed == 2


def test_a_file_removed_while_no_sidecar_ran_is_removed(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        device.close()
        remove(device, "out/000")
        device.start()
        assert device.egress().removed == 1


def test_a_renamed_file_leaves_its_old_name(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        (device.export / "out/000").rename(device.export / "out/new")
        device.egress()
        assert sorted(device.objects()) == ["t/001", "t/002", "t/003", "t/new"]


def empty_it(device: Device) -> None:
    remove(device, *(f"out/{number:03}" for number in range(4)))


def replace_all(device: Device) -> None:
    empty_it(device)
    device.write("out/other", "x")


def as_link(device: Device) -> None:
    (device.export / "out").rename(device.export / "real")
    (device.export / "out").symlink_to("real")


@pytest.mark.parametrize(
    ("case", "act", "words"),
    [
        ("the source is gone", lambda d: shutil.rmtree(d.export / "out"), "could not be looked into"),
        ("the source is a link", as_link, "could not be looked into"),
        ("the source is empty", empty_it, "an empty directory is never taken for emptied"),
        ("no known file is left", replace_all, "it may be another directory"),
    ],
)
def test_on_a_doubt_nothing_is_removed_and_it_is_said(tmp_path: Path, case: str, act: Any, words: str) -> None:
    with sending(tmp_path) as device:
        act(device)
        assert words in held(device.egress()), case
        assert words in held(device.egress()), "it is said as long as it holds"
        assert {f"t/{number:03}" for number in range(4)} <= set(device.objects())


def test_an_unreadable_directory_hides_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sending(tmp_path) as device:
        device.write("out/deep/a", "1")
        device.egress()
        remove(device, "out/000")
        real = os.scandir
        hidden = os.stat(device.export / "out/deep").st_ino

        def scandir(fd: int) -> Any:
            if os.fstat(fd).st_ino == hidden:
                raise PermissionError(13, "Permission denied")
            return real(fd)

        monkeypatch.setattr("sidecar.local.scan.os.scandir", scandir)
        assert "could not be looked into" in held(device.egress())
        assert len(device.objects()) == 5
        monkeypatch.undo()
        device.pass_time(601)
        assert device.egress().removed == 1


def test_a_directory_that_was_replaced_removes_nothing_then_or_later(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        (device.export / "out").rename(device.export / "before")
        device.write("out/001", "1")
        device.write("out/new", "x")
        assert device.egress().removed == 0
        device.pass_time(601)
        device.egress()
        assert sorted(device.objects()) == ["t/000", "t/001", "t/002", "t/003", "t/new"]
        remove(device, "out/new")
        device.egress()
        assert "t/new" not in device.objects(), "from now on it is mirrored"


def test_what_was_removed_before_mirroring_was_asked_for_stays(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        remove(device, "out/000")
        device.egress()
        (device.podinfo_dir / "mappings").write_text(
            '{"egress": [{"source": "out", "target": "t", "delete": true}], "ingress": []}'
        )
        device.egress()
        assert len(device.objects()) == 4
        remove(device, "out/001")
        device.egress()
        assert sorted(device.objects()) == ["t/000", "t/002", "t/003"]


def test_more_than_the_limit_removes_none_until_the_limit_is_raised(tmp_path: Path) -> None:
    with sending(tmp_path, count=40) as device:
        remove(device, *(f"out/{number:03}" for number in range(LEAST_LIMIT + 1)))
        tally = device.egress()
        assert "11 files are missing, one cycle removes at most 10" in held(tally)
        assert tally.complete, "it keeps nobody waiting"
        assert len(device.objects()) == 40
        (device.podinfo_dir / "mappings").write_text(
            '{"egress": [{"source": "out", "target": "t", "delete": true, "deleteLimit": 11}], "ingress": []}'
        )
        assert device.egress().removed == 11


@pytest.mark.parametrize("writer", [{}, {"data-sync-writer": "somebody"}])
def test_an_object_of_somebody_else_is_never_removed(tmp_path: Path, writer: dict[str, str]) -> None:
    with sending(tmp_path) as device:
        device.put("t/000", "0", writer)
        remove(device, "out/000")
        assert device.egress().removed == 0
        assert device.objects()["t/000"] == "0"
        device.pass_time(601)
        device.requests()
        device.egress()
        assert device.requests() == [], "it is theirs now, and not asked for again"


def test_an_object_written_just_before_it_is_removed_stays(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        remove(device, "out/000")

        def race(operation: str, key: str) -> None:
            if operation == "delete":
                device.store.before = lambda _operation, _key: None
                device.put("t/000", "theirs")

        device.store.before = race
        assert device.egress().removed == 0
        assert device.objects()["t/000"] == "theirs"


def test_a_file_that_comes_back_before_its_object_is_removed_keeps_it(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        remove(device, "out/000", "out/001")

        def race(operation: str, key: str) -> None:
            if (operation, key) == ("head", "t/000"):
                device.write("out/001", "1")

        device.store.before = race
        assert device.egress().removed == 1
        assert "t/001" in device.objects()


def test_a_removal_that_fails_is_tried_again(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        remove(device, "out/000")

        def fail(operation: str, key: str) -> None:
            if operation == "delete":
                raise Unreachable(operation, key, "down")

        device.store.before = fail
        tally = device.egress()
        assert (tally.removed, tally.reasons["unreachable"], tally.complete) == (0, 1, False)
        device.store.before = lambda _operation, _key: None
        assert device.egress().removed == 1


def test_excluding_a_file_is_not_removing_it(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        device.write("out/.data-syncignore", "000\n")
        device.egress()
        remove(device, "out/000", "out/001")
        assert device.egress().removed == 1
        assert sorted(device.objects()) == ["t/000", "t/002", "t/003"]


def test_a_removed_object_is_removed_from_the_device_after_two_cycles_of_grace(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        open_before = (device.export / "in/000").open("a")
        del device.store.objects[ObjectKey("r/000")]
        assert device.ingress().removed == 1
        assert "in/000" not in device.files()
        with open_before:
            open_before.write("a last line")
        device.ingress()
        device.ingress()
        (copy,) = (name for name in device.files() if "conflict" in name)
        assert device.read(copy) == "0a last line", "what was written through an open descriptor is kept"


def test_an_edited_file_stays_though_its_object_is_removed(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        device.write("in/000", "edited")
        del device.store.objects[ObjectKey("r/000")]
        assert device.ingress().removed == 0
        assert device.read("in/000") == "edited"
        device.requests()
        device.ingress()
        assert device.requests() == ["list"], "it is the workload's now"


def test_a_file_whose_content_alone_differs_stays(tmp_path: Path) -> None:
    """As after a write through mmap: no time has moved."""
    with fetching(tmp_path) as device:
        syncer = device.engine._syncer
        assert syncer is not None
        syncer._index._writer.execute("UPDATE agreed SET sha256 = ? WHERE path = '000'", (b"\0" * 32,))
        del device.store.objects[ObjectKey("r/000")]
        assert device.ingress().removed == 0
        assert device.read("in/000") == "0"


@pytest.mark.parametrize("left", [(), ("r/else",)], ids=["emptied", "filled with others"])
def test_a_bucket_that_lost_everything_removes_nothing(tmp_path: Path, left: tuple[str, ...]) -> None:
    with fetching(tmp_path) as device:
        device.store.objects.clear()
        for key in left:
            device.put(key, "x")
        assert "never taken" in held(device.ingress()) or left
        assert len([name for name in device.files("in") if name.startswith("0")]) == 4


def test_a_listing_that_breaks_off_removes_nothing(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        del device.store.objects[ObjectKey("r/003")]
        real = device.store.list

        def broken(prefix: str) -> Any:
            listed = real(prefix)
            yield next(listed)
            raise Unreachable("list", prefix, "reset")

        device.store.list = broken  # type: ignore[method-assign]
        assert device.ingress().result is Result.FAILED
        assert len(device.files("in")) == 4
        device.store.list = real  # type: ignore[method-assign]
        assert device.ingress().removed == 1


def test_an_object_that_comes_back_before_its_file_is_removed_keeps_it(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        del device.store.objects[ObjectKey("r/000")]

        def race(operation: str, key: str) -> None:
            if operation == "head":
                device.store.before = lambda _operation, _key: None
                device.put("r/000", "0")

        device.store.before = race
        assert device.ingress().removed == 0
        assert device.read("in/000") == "0"


def test_rows_of_files_that_are_long_gone_are_forgotten(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        index, scope = device.engine._syncer._index, 1  # type: ignore[union-attr]
        remove(device, "out/000")
        device.pass_time(601)
        device.egress()
        assert len(list(index.rows(scope))) == 4, "it may come back"
        device.pass_time(29 * 86_400)
        device.egress()
        assert len(list(index.rows(scope))) == 4
        device.pass_time(2 * 86_400)
        device.egress()
        assert [row.path for row in index.rows(scope)] == ["001", "002", "003"]
        assert len(device.objects()) == 4, "the object stays"


def test_a_file_that_came_back_as_it_was_is_missing_anew_when_it_goes_again(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        index = device.engine._syncer._index  # type: ignore[union-attr]
        device.write("out/below/a", "1")
        device.egress()
        for path in (("out/below", "aside"), ("aside", "out/below")):  # a volume that was not there for a while
            (device.export / path[0]).rename(device.export / path[1])
            device.pass_time(601)
            device.egress()
            gone = [bool(row.gone_at) for row in index.rows(1) if row.path == "below/a"]
            assert gone == [path[1] == "aside"]
        device.pass_time(31 * 86_400)
        remove(device, "out/below/a")
        device.egress()
        assert len(list(index.rows(1))) == 5, "only now is it missing"


def test_rows_that_are_known_to_be_missing_cost_no_look_at_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sending(tmp_path, delete=False) as device:
        index = device.engine._syncer._index  # type: ignore[union-attr]
        remove(device, "out/000", "out/001")
        device.pass_time(601)
        device.egress()
        asked: list[str] = []
        monkeypatch.setattr(index, "get", lambda _scope, path: asked.append(path))
        device.pass_time(601)
        tally = device.egress()
        assert (asked, tally.indexed, tally.result) == ([], 4, Result.OK)


def test_an_empty_mount_forgets_nothing_however_long(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        index = device.engine._syncer._index  # type: ignore[union-attr]
        empty_it(device)
        for _ in range(3):
            device.pass_time(31 * 86_400)
            device.egress()
        assert len(list(index.rows(1))) == 4


def test_what_is_gone_on_both_sides_is_forgotten_at_once(tmp_path: Path) -> None:
    with sending(tmp_path, delete=False) as device:
        index = device.engine._syncer._index  # type: ignore[union-attr]
        remove(device, "out/000")
        del device.store.objects[ObjectKey("t/000")]
        device.pass_time(3601)
        device.egress()
        assert [row.path for row in index.rows(1)] == ["001", "002", "003"]


def test_a_consumed_file_is_remembered_while_the_bucket_is_empty(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=[{"source": "r", "target": "in", "restore": False}]) as device:
        device.put("r/a", "1")
        device.ingress()
        remove(device, "in/a")
        objects = dict(device.store.objects)
        device.store.objects.clear()
        device.pass_time(601)
        device.ingress()
        device.store.objects.update(objects)
        device.ingress()
        assert device.files() == {}, "an empty listing is not read as deleted"


@pytest.mark.parametrize(
    ("rows", "wanted", "limit", "allowed"),
    [
        (20, LEAST_LIMIT, None, True),
        (20, LEAST_LIMIT + 1, None, False),
        (100, 25, None, True),
        (100, 26, None, False),
        (100_000, MOST_LIMIT, None, True),
        (100_000, MOST_LIMIT + 1, None, False),
        (100_000, 50_000, 50_000, True),
        (100, 2, 1, False),
    ],
)
def test_the_limit(rows: int, wanted: int, limit: int | None, allowed: bool) -> None:
    seen = Seen(files=1, objects=1, rows=rows, walked=True, listed=True)
    for direction in Direction:
        assert (doubt(direction, seen, wanted, wanted, limit) is None) == allowed
