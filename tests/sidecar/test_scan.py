"""The walk in runs: whole directories at once, those too large for memory in several readings."""

from __future__ import annotations

import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping
from sidecar.local import names as reading
from sidecar.local.directories import Root
from sidecar.local.names import everything, read_names
from sidecar.local.notices import Notice, Passed
from sidecar.local.scan import RUN, walk, walk_runs
from sidecar.selection.filtering import Filter

components = st.text(st.sampled_from("ab.-!0 ü\U0001f600"), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
trees = st.lists(st.lists(components, min_size=1, max_size=3).map("/".join), max_size=25)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    with Root(str(tmp_path)) as root:
        yield root


def make(top: str, tree: list[str]) -> set[str]:
    made = set()
    for path in tree:
        try:
            os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
            Path(top, path).open("xb").close()
        except (FileExistsError, NotADirectoryError):
            continue
        made.add(path)
    return made


def found(root: Root, notices: list[Notice] | None = None, window: int = reading.WINDOW) -> list[str]:
    report = (notices if notices is not None else []).append
    return [outline[0] for run in walk_runs(root, ".", report, everything, window) for outline in run]


@settings(max_examples=60, deadline=None)
@given(trees, st.integers(1, 6))
def test_a_directory_read_in_several_parts_gives_the_same_walk(tree: list[str], window: int) -> None:
    with tempfile.TemporaryDirectory() as top, Root(top) as root:
        made = make(top, tree)
        assert found(root, window=window) == sorted(made, key=str.encode)


def test_runs_are_short_and_say_what_stat_says(root: Root, tmp_path: Path) -> None:
    make(str(tmp_path), [f"{number:04}" for number in range(RUN * 2 + 5)] + ["0500/below"])
    (tmp_path / "0007").write_bytes(b"1234567")
    runs = list(walk_runs(root, ".", lambda notice: pytest.fail(str(notice))))
    assert [len(run) for run in runs] == [RUN, RUN, 5]
    seen = (tmp_path / "0007").lstat()
    expected = ("0007", 7, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, 0.0)
    assert runs[0][7] == expected


def test_what_vanishes_between_name_and_look_is_passed_over(root: Root, tmp_path: Path) -> None:
    make(str(tmp_path), ["a", "b", "c", "d/x"])

    def kept(below: str, names: list[str], directories: bool) -> list[str]:
        (tmp_path / "b").unlink(missing_ok=True)
        if directories and not below:
            (tmp_path / "d").rename(tmp_path / "gone")
        return names

    notices: list[Notice] = []
    walked = [entry.path for entry in walk(root, ".", notices.append, kept)]
    assert walked == ["a", "c"]
    assert notices == []


def test_what_appears_or_vanishes_between_two_readings_spoils_no_order(root: Root, tmp_path: Path) -> None:
    make(str(tmp_path), [f"{number:02}" for number in range(20)])
    readings = 0

    def kept(_below: str, names: list[str], directories: bool) -> list[str]:
        nonlocal readings
        readings += not directories
        if readings == 2:  # the first four have been handed on
            (tmp_path / "00x").touch()
            (tmp_path / "09x").touch()
            (tmp_path / "10").unlink(missing_ok=True)
            (tmp_path / "04").unlink(missing_ok=True)
            if not (tmp_path / "05").is_dir():
                (tmp_path / "05").unlink()
                (tmp_path / "05").mkdir()
                (tmp_path / "05/below").touch()
        return names

    paths = [outline[0] for run in walk_runs(root, ".", lambda _: None, kept, window=4) for outline in run]
    expected = {f"{number:02}" for number in range(20)} - {"04", "05", "10"} | {"05/below", "09x"}
    assert readings > 4
    assert paths == sorted(set(paths))
    # What changes during a reading may or may not be met by it; it is met by the next.
    assert expected - {"05/below", "09x"} <= set(paths) <= expected | {"04", "05", "10"}
    assert set(found(root)) == expected | {"00x"}


def test_odd_things_in_a_large_directory_are_told_of_once(root: Root, tmp_path: Path) -> None:
    make(str(tmp_path), [f"{number:03}" for number in range(40)])
    os.mkfifo(tmp_path / "005-fifo")
    (tmp_path / "015-link").symlink_to("nowhere")
    (tmp_path / "025-link").symlink_to(tmp_path)
    os.close(os.open(os.fsencode(tmp_path) + b"/035-\xff", os.O_CREAT | os.O_WRONLY))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(tmp_path)
        listener.bind("039-socket")
        os.chdir(here)
    for window in (1, 7, 1000):
        notices: list[Notice] = []
        assert len(found(root, notices, window)) == 40
        assert sorted((notice.name, notice.why) for notice in notices) == [
            ("005-fifo", Passed.SPECIAL),
            ("015-link", Passed.SPECIAL),
            ("025-link", Passed.SPECIAL),
            ("035-\\xff", Passed.NOT_UTF8),
            ("039-socket", Passed.SPECIAL),
        ]


def test_names_of_many_bytes_and_few_characters_are_measured_in_bytes(root: Root, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 4)
    deep.mkdir(parents=True)
    (deep / ("ü" * 110)).touch()  # 803 + 1 + 220 bytes: it just fits
    (deep / ("ü" * 111)).touch()
    notices: list[Notice] = []
    assert [len(path.encode()) for path in found(root, notices)] == [1024]
    assert [notice.why for notice in notices] == [Passed.TOO_LONG]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "x.tmp",
                "d/x.tmp",
                "d/a",
                ".data-sync/index",
                "d/.data-sync/a",
                ".data-syncignore",
                "d/.data-syncignore",
                "a.conflict-20261128T101010Z",
                "d/a.conflict-20261128T101010Z-2",
                "a.conflict-",
                "keep/all/b",
                "skip/c",
            ]
        )
    ),
    st.sampled_from(["", "d", "*.tmp", "skip/"]),
    st.sampled_from(list(Direction)),
    st.sampled_from([".", "d"]),
)
def test_a_filter_asked_by_the_directory_says_what_it_says_of_each_file(
    tree: list[str], exclude: str, direction: Direction, directory: str
) -> None:
    source, target = (directory, "t") if direction is Direction.EGRESS else ("t", directory)
    mapping = Mapping(direction, source, target, exclude=(exclude,) if exclude else ())
    filter_ = Filter(mapping)
    with tempfile.TemporaryDirectory() as top, Root(top) as root:
        start = "" if directory == "." else directory + "/"
        made = {path[len(start) :] for path in make(top, tree) if path.startswith(start)}
        walked = {entry.path for entry in walk(root, directory, lambda _: None, filter_.kept)}
        assert walked == {path for path in made if not filter_.passes_over(path)}


class Entry:
    """One name of a directory that is not there."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        assert not follow_symlinks
        return False


class Endless:
    """A directory of many names, in no order, none of which exists before it is asked for."""

    def __init__(self, count: int) -> None:
        self._names = (Entry(f"a-rather-ordinary-name-{number * 7_919 % count:08}.json") for number in range(count))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Entry]:
        return self._names

    def __next__(self) -> Entry:
        return next(self._names)


def test_memory_does_not_grow_with_one_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = []
    for count in (40_000, 120_000):
        monkeypatch.setattr(os, "scandir", lambda _fd, count=count: Endless(count))
        tracemalloc.start()
        after: str | None = ""
        seen, last = 0, ""
        while after is not None:
            part = read_names(-1, "", everything, after, window=20_000)
            assert last < part.files[0]
            seen, last = seen + len(part.files), part.files[-1]
            after = part.last
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        monkeypatch.undo()
        assert seen == count
    assert peaks[1] < peaks[0] * 1.6, "three times as many names"
