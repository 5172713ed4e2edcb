"""The exported directory: the order of the walk, reading one state of a file, and never leaving the root."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import ChangedWhileReading, NoRoom
from sidecar.limits import Bandwidth, Floor, Space
from sidecar.local import files
from sidecar.local.directories import NotADirectory, NotAFile, Root
from sidecar.local.notices import Notice, Passed
from sidecar.local.scan import walk
from sidecar.local.syscalls import open_beneath
from sidecar.selection.patience import LONGEST, Patience

names = st.text(st.sampled_from("ab.-!0 ü"), min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
trees = st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=15)


@pytest.fixture(params=["openat2", "step by step"])
def root(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """Both ways down: an older kernel, or a seccomp profile, has one of them only."""
    if request.param == "step by step":
        monkeypatch.setattr("sidecar.local.directories.open_beneath", lambda *_: None)
    with Root(str(tmp_path)) as root:
        yield root


def paths(root: Root, directory: str = ".", notices: list[Notice] | None = None) -> list[str]:
    report = (notices if notices is not None else []).append
    return [entry.path for entry in walk(root, directory, report)]


@settings(max_examples=60)
@given(trees)
def test_the_walk_is_in_the_order_of_a_bucket_listing(tree: list[str]) -> None:
    with tempfile.TemporaryDirectory() as top:
        made = set()
        for path in tree:
            try:
                os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
                Path(top, path).open("xb").close()
            except (FileExistsError, NotADirectoryError):
                continue
            made.add(path)
        with Root(top) as root:
            assert paths(root) == sorted(made, key=str.encode)


def test_this_kernel_opens_in_one_call(tmp_path: Path) -> None:
    """Else the fixture above tries one way twice."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"")
    (tmp_path / "link").symlink_to("d")
    with Root(str(tmp_path)) as root:
        fd = open_beneath(root.fd, "d/f", os.O_RDONLY)
        assert fd is not None
        os.close(fd)
        assert open_beneath(root.fd, "link/f", os.O_RDONLY) is None
        assert open_beneath(root.fd, "../" + tmp_path.name, os.O_RDONLY) is None


def test_a_directory_that_cannot_be_read_is_reported_and_the_walk_goes_on(tmp_path: Path) -> None:
    script = """
import os, sys
from sidecar.local.directories import Root
from sidecar.local.scan import walk
os.setuid(65534)
notices = []
with Root(sys.argv[1]) as root:
    print([entry.path for entry in walk(root, ".", notices.append)], [notice.why.value for notice in notices])
"""
    if os.geteuid() != 0:
        pytest.skip("root can read everything, and only root can become another user")
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    top.chmod(0o755)
    (top / "closed").mkdir(mode=0o700)
    (top / "closed/a").touch()
    (top / "open").touch()
    result = subprocess.run(
        [sys.executable, "-c", script, str(top)], capture_output=True, text=True, check=False, cwd=os.getcwd()
    )
    assert result.stdout.strip() == "['open'] ['unreadable']", result.stderr


def test_deep_trees_and_loops_of_links_end(root: Root, tmp_path: Path) -> None:
    deep = "/".join(["d"] * 400)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "f").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert paths(root) == [deep + "/f"]


def test_paths_too_long_for_a_key_are_reported(root: Root, tmp_path: Path) -> None:
    directory = "/".join(["d" * 200] * 5)
    (tmp_path / directory).mkdir(parents=True)
    with root.directory(directory) as fd:
        os.close(os.open("f" * 100, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    notices: list[Notice] = []
    assert paths(root, notices=notices) == []
    assert [notice.why for notice in notices] == [Passed.TOO_LONG]


def test_no_way_leads_out_through_links(root: Root, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    with pytest.raises(NotADirectory), root.open_file("inside/link/secret"):
        pass
    with pytest.raises(NotADirectory):
        root.look("inside/link/secret")
    (inside / "file").symlink_to(outside / "secret")
    with pytest.raises(NotAFile), root.open_file("inside/file"):
        pass


def test_a_fifo_is_refused_at_once_and_never_waited_for(root: Root, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotAFile), root.open_file("fifo"):
        pass


def test_directories_are_made_on_the_way(root: Root, tmp_path: Path) -> None:
    with root.directory("a/b/c", create=True):
        assert (tmp_path / "a/b/c").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectory), root.directory("file/b", create=True):
        pass


def test_no_descriptor_is_left_open(root: Root, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f").write_text("x")
    (tmp_path / "a/link").symlink_to("b")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        paths(root)
        root.look("a/b/f")
        root.look("a/missing/f")
        with root.open_file("a/b/f"):
            pass
        with pytest.raises(NotAFile), root.open_file("a/link"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def interrupted(monkeypatch: pytest.MonkeyPatch, act: object, after: int = 1) -> None:
    """Run ``act`` after the n-th read of a file."""
    real, count = os.pread, 0

    def pread(fd: int, size: int, offset: int) -> bytes:
        nonlocal count
        result = real(fd, size, offset)
        count += 1
        if count == after:
            assert callable(act)
            act()
        return result

    monkeypatch.setattr("sidecar.local.files.os.pread", pread)


def test_a_log_that_grew_while_it_was_read_is_a_good_snapshot(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_text("one\n")
    with root.open_file("log") as fd:
        interrupted(monkeypatch, lambda: log.write_text("one\ntwo\n"))
        snapshot = files.read_snapshot(fd, "log", files.look(fd, "log"), patient=True)
    assert (snapshot.body, snapshot.settled, snapshot.fingerprint.size) == (b"one\n", True, 4)


@pytest.mark.parametrize("new", ["ONE\nlonger", "sh", "1234"], ids=["rewritten longer", "truncated", "same size"])
def test_a_file_rewritten_while_it_was_read_waits_and_goes_as_it_is_only_when_patience_ends(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: str
) -> None:
    file = tmp_path / "file"
    file.write_text("one\n")
    os.utime(file, (1, 1))
    with root.open_file("file") as fd:
        interrupted(monkeypatch, lambda: file.write_text(new))
        with pytest.raises(ChangedWhileReading):
            files.read_snapshot(fd, "file", files.look(fd, "file"), patient=True)
    file.write_text("one\n")
    os.utime(file, (1, 1))
    with root.open_file("file") as fd:
        interrupted(monkeypatch, lambda: file.write_text(new))
        assert not files.read_snapshot(fd, "file", files.look(fd, "file"), patient=False).settled


def test_a_large_file_that_shrinks_is_noticed(root: Root, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (2 * files.CHUNK))
    with root.open_file("file") as fd:
        chunks = files.read_chunks(fd, "file", 2 * files.CHUNK, lambda: None)
        next(chunks)
        os.truncate(file, 10)
        with pytest.raises(ChangedWhileReading, match="shrank"):
            next(chunks)


def test_a_sparse_file_is_read_as_it_reads(root: Root, tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    file.touch()
    os.truncate(file, 1_000_000)
    with root.open_file("sparse") as fd:
        assert files.read_snapshot(fd, "sparse", files.look(fd, "sparse"), patient=True).body == bytes(1_000_000)


def test_patience_lasts_five_minutes_and_ends_with_a_quiet_moment() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    patience.found_changing("a")
    now = LONGEST - 1
    patience.found_changing("a")
    assert not patience.lost_with("a")
    now = LONGEST
    assert patience.lost_with("a")
    patience.found_still("a")
    assert not patience.lost_with("a")


def statvfs(free: int, total: int = 1000, inodes: int = 1000, free_inodes: int = 1000) -> os.statvfs_result:
    return os.statvfs_result((1, 1, total, free, free, inodes, free_inodes, free_inodes, 0, 255))


def test_parallel_reservations_together_keep_the_floor() -> None:
    space = Space("/", Floor(100, 0.0), statvfs=lambda _: statvfs(free=300))
    space.reserve(120, "a")
    space.reserve(80, "b")
    with pytest.raises(NoRoom, match="would leave 99 free, the floor is 100"):
        space.reserve(1, "c")
    space.release(80, kept=False)
    space.reserve(80, "d")


def test_the_larger_of_bytes_and_share_is_the_floor() -> None:
    space = Space("/", Floor(10, 0.15), statvfs=lambda _: statvfs(free=200))
    space.reserve(50, "a")
    with pytest.raises(NoRoom):
        space.reserve(1, "b")


def test_a_tenth_of_the_inodes_stays_free() -> None:
    space = Space("/", Floor(0, 0.0), statvfs=lambda _: statvfs(free=1000, free_inodes=101))
    space.reserve(1, "a")
    with pytest.raises(NoRoom, match="inodes"):
        space.reserve(1, "b")


def test_file_systems_without_inodes_have_no_inode_floor() -> None:
    Space("/", Floor(0, 0.0), statvfs=lambda _: statvfs(free=1000, inodes=0, free_inodes=0)).reserve(1, "a")


def test_the_ceiling_counts_what_is_kept() -> None:
    space = Space("/", Floor(0, 0.0), 100, statvfs=lambda _: statvfs(free=1000))
    space.set_used(40)
    space.reserve(50, "a")
    space.release(50, kept=True)
    with pytest.raises(NoRoom, match="holds 90 of 100"):
        space.reserve(11, "b")
    space.reserve(10, "c")


def test_bandwidth_spreads_bytes_over_time() -> None:
    now, slept = 100.0, []

    def sleep(seconds: float) -> bool:
        slept.append(round(seconds, 3))
        return False

    bandwidth = Bandwidth(1000, sleep, lambda: now)
    for _ in range(4):
        bandwidth.take(1000)
    assert slept == [1.0, 2.0], "a second's burst is free, then each waits for those before it"
    Bandwidth(None, sleep, lambda: now).take(10**9)
    assert len(slept) == 2
