"""Filters: what include, exclude and the ignore file leave alone, in both directions, and that they delete nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.mapping import Direction, parse_mappings
from sidecar.reporting.progress import Result
from sidecar.selection.filtering import IGNORE_FILE, Filter
from tests.fakes.device import Device


@contextmanager
def sending(tmp_path: Path, **options: Any) -> Iterator[Device]:
    with Device(tmp_path, egress=[{"source": "stats", "target": "s", **options}]) as device:
        yield device


@contextmanager
def fetching(tmp_path: Path, **options: Any) -> Iterator[Device]:
    with Device(tmp_path, ingress=[{"source": "r", "target": "in", **options}]) as device:
        yield device


def keys(device: Device) -> list[str]:
    return [key.removeprefix("s/") for key in device.objects()]


def write(device: Device, *paths: str) -> None:
    for path in paths:
        device.write(f"stats/{path}", path)


def test_only_what_is_included_is_sent(tmp_path: Path) -> None:
    with sending(tmp_path, include=["*.csv", "/reports/"]) as device:
        write(device, "a.csv", "deep/b.csv", "c.txt", "reports/d.txt", "deep/reports/e.txt")
        assert device.egress().result is Result.OK
        assert keys(device) == ["a.csv", "deep/b.csv", "reports/d.txt"]


def test_what_is_excluded_is_not_sent_even_if_included(tmp_path: Path) -> None:
    with sending(tmp_path, include=["*.csv"], exclude=["tmp/", "old*", "!older.csv"]) as device:
        write(device, "a.csv", "tmp/b.csv", "x/tmp/c.csv", "old.csv", "older.csv")
        device.egress()
        assert keys(device) == ["a.csv", "older.csv"]


def test_an_excluded_directory_is_not_even_looked_into(tmp_path: Path) -> None:
    with sending(tmp_path, exclude=["cache/"]) as device:
        (device.export / "stats/cache").mkdir(parents=True)
        (Path(os.fsdecode(os.fsencode(device.export) + b"/stats/cache/\xff"))).write_text("no name for a key")
        os.mkfifo(device.export / "stats/cache/pipe")
        tally = device.egress()
        assert (tally.result, tally.skipped, tally.pending_files) == (Result.OK, 0, 0)


@pytest.mark.parametrize("how", ["by a walk", "by the watcher"])
def test_a_filter_holds_however_a_file_is_found(tmp_path: Path, how: str) -> None:
    with sending(tmp_path, exclude=["*.tmp", "cache/"], include=["*.csv", "*.tmp"]) as device:
        write(device, "a.csv")
        if how == "by the watcher":
            device.egress()
        write(device, "b.csv", "b.tmp", "cache/c.csv", "new/d.csv", "new/d.txt", "new/cache/e.csv")
        assert device.egress().result is Result.OK
        assert keys(device) == ["a.csv", "b.csv", "new/d.csv"]


def test_the_ignore_file_is_heeded_and_never_sent(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        device.write(f"stats/{IGNORE_FILE}", "# scratch\n\n*.tmp\n!keep.tmp\n\\#x\ntrailing   \r\nspace\\ \n")
        write(device, "a", "b.tmp", "keep.tmp", "#x", "trailing", "space ", f"deep/{IGNORE_FILE}")
        device.egress()
        assert keys(device) == ["a", f"deep/{IGNORE_FILE}", "keep.tmp"], "only the one in the source directory counts"


def test_a_change_of_the_ignore_file_takes_effect_and_deletes_nothing(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        device.write(f"stats/{IGNORE_FILE}", "*.tmp\n")
        write(device, "a.tmp", "b")
        device.egress()
        assert keys(device) == ["b"]
        device.write(f"stats/{IGNORE_FILE}", "b\n")
        device.egress()
        assert keys(device) == ["a.tmp", "b"], "what is let in now goes; what is kept out now stays in the bucket"
        write(device, "b")
        (device.export / "stats" / IGNORE_FILE).unlink()
        device.egress()
        assert keys(device) == ["a.tmp", "b"]


def test_an_operators_exclude_cannot_be_taken_back_by_the_ignore_file(tmp_path: Path) -> None:
    with sending(tmp_path, exclude=["secret*"]) as device:
        device.write(f"stats/{IGNORE_FILE}", "!secret.key\n")
        write(device, "secret.key", "b")
        device.egress()
        assert keys(device) == ["b"]


@pytest.mark.parametrize(
    ("case", "content", "words"),
    [
        ("a line that is no pattern", b"ok\n../up\n", "line 2: '../up': it has the component '..'"),
        ("too large", b"x" * 70_000, "more than 65536 bytes"),
        ("too many lines", b"x\n" * 1002, "or 1000 lines"),
        ("no file", None, "it is a directory"),
    ],
)  # fmt: skip
def test_an_ignore_file_that_cannot_be_used_stops_its_mapping(
    tmp_path: Path, case: str, content: bytes | None, words: str
) -> None:
    with sending(tmp_path) as device:
        write(device, "a")
        ignore = device.export / "stats" / IGNORE_FILE
        if content is None:
            ignore.mkdir()
        else:
            ignore.write_bytes(content)
        tally = device.egress()
        assert (tally.result, device.objects(), tally.complete) == (Result.FAILED, {}, False)
        assert words in str(tally.error), case
        assert device.metric("file_errors_total", direction="egress", reason="ignore_file") == 1
        ignore.rmdir() if content is None else ignore.unlink()
        assert device.egress().result is Result.OK
        assert keys(device) == ["a"]


def test_the_same_ignore_file_after_a_bad_one_is_read_again(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        write(device, "a", "b")
        ignore = device.write(f"stats/{IGNORE_FILE}", "b\n")
        device.egress()
        ignore.write_text("..\n")
        assert device.egress().result is Result.FAILED
        assert device.egress().result is Result.FAILED, "still"
        ignore.write_text("a\n")
        write(device, "c")
        device.egress()
        assert keys(device) == ["a", "b", "c"]


def test_filters_hold_for_ingress_too(tmp_path: Path) -> None:
    with fetching(tmp_path, include=["*.onnx"], exclude=["draft/"]) as device:
        for name in ("a.onnx", "b.txt", "draft/c.onnx", "deep/d.onnx"):
            device.put(f"r/{name}", name)
        assert device.ingress().result is Result.OK
        assert sorted(device.files("in")) == ["a.onnx", "deep/d.onnx"]


def test_an_ignore_file_in_the_bucket_does_not_come(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        device.put(f"r/{IGNORE_FILE}", "*")
        device.put("r/a", "1")
        device.ingress()
        device.ingress()
        assert device.files("in") == {"a": "1"}


def test_a_filtered_object_over_an_edited_file_touches_nothing(tmp_path: Path) -> None:
    with fetching(tmp_path) as device:
        device.put("r/a", "1")
        device.ingress()
        device.write(f"in/{IGNORE_FILE}", "a\n")
        device.write("in/a", "edited")
        device.put("r/a", "2")
        device.ingress()
        assert device.files("in") == {IGNORE_FILE: "a\n", "a": "edited"}


def test_an_edit_of_the_filter_does_not_send_once_more_by_the_old_one(tmp_path: Path) -> None:
    with sending(tmp_path) as device:
        write(device, "a")
        device.egress()
        (device.podinfo_dir / "mappings").write_text(
            '{"egress": [{"source": "stats", "target": "s", "exclude": ["secret"]}], "ingress": []}'
        )
        write(device, "secret", "b")
        device.egress()
        assert keys(device) == ["a", "b"]


@pytest.mark.parametrize("path", ["a/x.log", "cache/a", "a/cache/b", "keep", "deep/keep/x.csv", "é"])
def test_a_walk_and_a_question_about_one_file_agree(path: str) -> None:
    (mapping,) = parse_mappings(
        Direction.EGRESS, [{"source": "d", "target": "t", "include": ["*.log", "keep", "é"], "exclude": ["cache/"]}]
    )
    filter_ = Filter(mapping, ("!x",))
    parts = path.split("/")
    steps = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    walked = any(filter_.skips(f"d/{step}", step != path) for step in steps)
    assert walked == filter_.passes_over(path)
