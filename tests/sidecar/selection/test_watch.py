"""The watcher: an idle cycle looks at nothing, every change is seen, and where it cannot watch it walks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inotify_simple import Event, flags

from sidecar import sides
from sidecar.local import scan
from sidecar.local import watch as watch_module
from sidecar.local.directories import Root
from sidecar.local.notices import Notice, Passed
from sidecar.local.visit import visit
from sidecar.local.watch import CannotWatch, Hints, Watch
from sidecar.reporting.progress import Result
from sidecar.selection.attention import Attention
from sidecar.tree import RelativePath
from tests.fakes.device import Device

STATS = [{"source": "stats", "target": "statistics"}]
DATA = [{"source": "remote/data", "target": "in"}]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watch]:
    """A watch over ``top``, its first word (everything) taken."""
    (tmp_path / "top/old").mkdir(parents=True)
    (tmp_path / "top/old/file").write_text("x")
    with Root(str(tmp_path)) as root:
        watch = Watch(root, "top", lambda path, _directory: path == "top/skipped")
        assert watch.take().everything
        yield watch
        watch.close()


def test_nothing_happened_is_no_hint(watched: Watch) -> None:
    assert not watched.take()


@pytest.mark.parametrize(
    ("case", "act", "files", "directories"),
    [
        ("a new file", lambda top: (top / "a").write_text("x"), {"a"}, set()),
        ("a change below", lambda top: (top / "old/file").write_text("y"), {"old/file"}, set()),
        ("an append", lambda top: (top / "old/file").open("a").close(), {"old/file"}, set()),
        ("a touch", lambda top: os.utime(top / "old/file"), {"old/file"}, set()),
        ("a removal", lambda top: (top / "old/file").unlink(), {"old/file"}, set()),
        ("a rename", lambda top: (top / "old/file").rename(top / "b"), {"old/file", "b"}, set()),
        ("what is skipped", lambda top: (top / "skipped").write_text("x"), set(), set()),
        ("a new tree", lambda top: (top / "n/e/w").mkdir(parents=True), set(), {"n"}),
        ("a directory that leaves", lambda top: (top / "old").rename(top.parent / "away"), set(), {"old"}),
    ],
)
def test_what_happened_is_told_by_name(
    watched: Watch, tmp_path: Path, case: str, act: Callable[[Path], object], files: set[str], directories: set[str]
) -> None:
    act(tmp_path / "top")
    hints = watched.take()
    assert (hints.files, hints.everything) == (files, False), case
    assert directories <= hints.directories
    assert not watched.take(), "each is told once"


def test_a_file_in_a_tree_made_a_moment_ago_is_below_a_hinted_directory(watched: Watch, tmp_path: Path) -> None:
    (tmp_path / "top/n/e/w").mkdir(parents=True)
    (tmp_path / "top/n/e/w/file").write_text("x")
    hints = watched.take()
    with Root(str(tmp_path)) as root:
        found = [entry.path for entry in visit(root, "top", hints.files, hints.directories, lambda _: None)]
    assert found == ["n/e/w/file"]
    (tmp_path / "top/n/e/w/later").write_text("x")
    assert watched.take().files == {"n/e/w/later"}


def test_a_renamed_directory_is_told_of_under_its_new_name(watched: Watch, tmp_path: Path) -> None:
    (tmp_path / "top/old").rename(tmp_path / "top/new")
    watched.take()
    (tmp_path / "top/new/file").write_text("y")
    assert watched.take().files == {"new/file"}


def test_an_overflow_means_everything(watched: Watch) -> None:
    watched._on(Event(-1, flags.Q_OVERFLOW, 0, ""))
    assert watched.take().everything
    assert watched.usable


def test_too_many_names_mean_everything(watched: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "MOST_NAMES", 10)
    for number in range(12):
        (tmp_path / f"top/{number}").write_text("x")
    assert watched.take().everything
    assert not watched.take()


def test_another_directory_under_the_name_is_noticed(watched: Watch, tmp_path: Path) -> None:
    (tmp_path / "top").rename(tmp_path / "before")
    (tmp_path / "top").mkdir()
    assert not watched.usable
    assert watched.take().everything


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "outside")
    with Root(str(tmp_path)) as root:
        watch = Watch(root, "top", lambda _path, _directory: False)
        watch.take()
        (tmp_path / "outside/file").write_text("x")
        assert not watch.take()
        watch.close()


def test_limits_are_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "MOST_WATCHES", 3)
    for number in range(5):
        (tmp_path / f"top/{number}").mkdir(parents=True)
    with Root(str(tmp_path)) as root, pytest.raises(CannotWatch, match="more than 3 directories"):
        Watch(root, "top", lambda _path, _directory: False)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "top/below").mkdir(parents=True)
    with Root(str(tmp_path)) as root:
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(5):
            Watch(root, "top", lambda _path, _directory: False).close()
        assert sorted(os.listdir("/proc/self/fd")) == before


class Walks:
    """Counts full walks, and can forbid them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = scan.walk_runs

        def walk_runs(*args: object) -> object:
            self.count += 1
            return real(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(sides, "walk_runs", walk_runs)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Walks:
    return Walks(monkeypatch)


def test_only_the_first_cycle_walks_and_every_change_is_still_sent(tmp_path: Path, walks: Walks) -> None:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        device.write("stats/below/b", "1")
        device.egress()
        assert walks.count == 1
        device.egress()
        device.write("stats/a", "2")
        device.write("stats/new/c", "3")
        device.write("stats/below/b", "4")
        (device.export / "stats/below").rename(device.export / "stats/moved")
        tally = device.egress()
        assert walks.count == 1
        assert device.objects() == {
            "statistics/a": "2",
            "statistics/below/b": "1",
            "statistics/moved/b": "4",
            "statistics/new/c": "3",
        }
        assert (tally.result, tally.indexed) == (Result.OK, 4)


def test_the_tree_is_walked_again_after_the_rescan_interval(tmp_path: Path, walks: Walks) -> None:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        device.egress()
        device.pass_time(601)
        device.egress()
        assert walks.count == 2


def test_a_failed_file_is_tried_again_though_nobody_touched_it(tmp_path: Path, walks: Walks) -> None:
    from sidecar.errors import PreconditionFailed

    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        device.egress()
        device.write("stats/b", "2")

        def fail(operation: str, key: str) -> None:
            if operation in ("put", "head"):
                raise PreconditionFailed(operation, key)

        device.store.before = fail
        assert device.egress().pending_files == 1
        assert device.egress().pending_files == 1
        device.store.before = lambda _operation, _key: None
        assert device.egress().result is Result.OK
        assert device.objects() == {"statistics/a": "1", "statistics/b": "2"}
        assert walks.count == 1


def test_what_the_walk_passed_over_stays_counted_until_it_is_touched(tmp_path: Path, walks: Walks) -> None:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        bad = os.fsencode(device.export / "stats") + b"/bad\xff"
        with open(bad, "wb"):
            pass
        os.mkfifo(device.export / "stats/fifo")
        for _ in range(2):
            tally = device.egress()
            assert (tally.pending_files, tally.skipped, dict(tally.reasons)) == (1, 1, {"not_utf8": 1})
        assert walks.count == 1
        assert device.metric("file_errors_total", direction="egress", reason="not_utf8") == 1


def test_names_that_are_no_text_are_counted_once_and_no_longer_than_they_are_there(tmp_path: Path) -> None:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/good", "1")
        device.egress()
        top = os.path.join(os.fsencode(device.export), b"stats", b"below")
        os.mkdir(top)
        for name in (b"\xff", b"\xc3"):
            with open(os.path.join(top, name), "wb") as file:
                file.write(b"x")
        assert device.egress().pending_files == 2
        for _ in range(3):  # touched again and again
            os.utime(os.path.join(top, b"\xff"))
            os.chmod(top, 0o755)
            assert device.egress().pending_files == 2
        os.unlink(os.path.join(top, b"\xff"))
        assert device.egress().pending_files == 1
        os.rename(top, os.path.join(os.fsencode(device.export), b"away"))
        assert device.egress().pending_files == 0


def test_a_file_that_became_readable_is_sent_and_no_longer_counted(tmp_path: Path) -> None:
    attention = Attention(600)
    attention.stands(Notice("closed/", Passed.UNREADABLE, "x"))
    attention.stands(Notice("file", Passed.UNREADABLE, "x"))
    assert [notice.name for notice in attention.standing(Hints({"file"}, {"closed"}))] == []


def test_ingress_does_not_walk_and_still_sees_what_the_workload_does(tmp_path: Path, walks: Walks) -> None:
    with Device(tmp_path, ingress=DATA) as device:
        for name in ("a", "b", "c", "dir/d"):
            device.put(f"remote/data/{name}", name)
        device.ingress()
        device.ingress()  # the directory is there now, and is watched
        device.ingress()
        before = walks.count
        (device.export / "in/a").unlink()
        device.write("in/b", "edited")
        (device.export / "in/dir").rename(device.export / "gone")
        device.put("remote/data/c", "new")
        device.ingress()
        assert device.files("in") == {"a": "a", "b": "edited", "c": "new", "dir/d": "dir/d"}
        device.put("remote/data/b", "theirs")
        device.ingress()
        assert sorted(device.files("in").values()) == ["a", "dir/d", "edited", "new", "theirs"]
        assert walks.count == before


def test_after_a_pass_that_broke_off_the_tree_is_walked(tmp_path: Path, walks: Walks) -> None:
    from sidecar.errors import Unreachable

    with Device(tmp_path, ingress=DATA) as device:
        device.put("remote/data/a", "1")
        for _ in range(3):
            device.ingress()
        before = walks.count

        def fail(operation: str, key: str) -> None:
            raise Unreachable(operation, key, "down")

        device.store.before = fail
        (device.export / "in/a").unlink()
        device.ingress()
        device.store.before = lambda _operation, _key: None
        device.ingress()
        assert device.files() == {"in/a": "1"}, "the hint was taken by the pass that failed"
        assert walks.count > before


def test_what_cannot_be_watched_is_walked_every_cycle_and_said(
    tmp_path: Path, walks: Walks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch_module, "MOST_WATCHES", 0)
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        for _ in range(3):
            device.egress()
        assert walks.count == 3
        assert device.metric("watcher_degraded") == 1
        assert caplog.text.count("cannot watch") == 1
        device.write("stats/a", "2")
        device.egress()
        assert device.objects() == {"statistics/a": "2"}
        monkeypatch.setattr(watch_module, "MOST_WATCHES", 100)
        device.pass_time(601)
        device.egress()
        assert device.metric("watcher_degraded") == 0


def test_the_last_flush_trusts_nobody(tmp_path: Path, walks: Walks) -> None:
    with Device(tmp_path, egress=STATS) as device:
        device.write("stats/a", "1")
        device.egress()
        device.shutdown.request()
        device.engine._end()
        assert walks.count == 2
        device.start()


def test_names_to_look_at_are_bounded() -> None:
    attention = Attention(600)
    attention.begin_walk()
    assert not attention.needs_walk
    for number in range(50_001):
        attention.look_again(RelativePath(str(number)))
    assert attention.needs_walk
