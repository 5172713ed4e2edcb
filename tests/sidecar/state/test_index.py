"""The index: sorted, crash-safe, and set aside when it is not ours or not whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping
from sidecar.errors import NoRoom
from sidecar.state.database import FORMAT, IndexBroken, IndexUnusable, connect_to_read
from sidecar.state.index import MOST_UNWRITTEN, Index, Scope
from sidecar.tree import Agreed, ETag, Fingerprint, RelativePath

SCOPE = Scope("https://s3", "bucket", Mapping(Direction.EGRESS, "a", "b"), "id")


def row(path: str, size: int = 1) -> Agreed:
    return Agreed(RelativePath(path), Fingerprint(size, 2**62, 3, 2**40), b"\1" * 32, ETag("tag"), size, 12.5)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index"))
    scope = index.scope(SCOPE)
    index.record(scope, row("a"))
    assert list(index.rows(scope)) == [row("a")]
    index.close()
    again = Index(str(tmp_path / "index"))
    assert again.scope(SCOPE) == scope
    assert list(again.rows(scope)) == [row("a")]
    again.close()


paths = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6), max_size=30, unique=True
)


@settings(max_examples=30)
@given(paths)
def test_rows_ascend_by_the_bytes_of_their_paths(names: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        index = Index(f"{directory}/index")
        scope = index.scope(SCOPE)
        for name in names:
            index.record(scope, row(name))
        assert [found.path for found in index.rows(scope)] == sorted(names, key=lambda name: name.encode())
        index.close()


@pytest.mark.parametrize(
    "other",
    [
        Scope("https://other", SCOPE.bucket, SCOPE.mapping, SCOPE.directory_id),
        Scope(SCOPE.endpoint, "other", SCOPE.mapping, SCOPE.directory_id),
        Scope(SCOPE.endpoint, SCOPE.bucket, Mapping(Direction.EGRESS, "a", "c"), SCOPE.directory_id),
        Scope(SCOPE.endpoint, SCOPE.bucket, Mapping(Direction.EGRESS, "c", "b"), SCOPE.directory_id),
        Scope(SCOPE.endpoint, SCOPE.bucket, Mapping(Direction.INGRESS, "b", "a"), SCOPE.directory_id),
        Scope(SCOPE.endpoint, SCOPE.bucket, SCOPE.mapping, "other"),
    ],
)
def test_another_scope_has_agreed_on_nothing(tmp_path: Path, other: Scope) -> None:
    index = Index(str(tmp_path / "index"))
    index.record(index.scope(SCOPE), row("a"))
    assert list(index.rows(index.scope(other))) == []
    index.close()


def test_options_of_a_mapping_do_not_start_it_afresh(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index"))
    ingress = Mapping(Direction.INGRESS, "b", "a")
    one = Scope("e", "b", ingress, "id")
    other = Scope("e", "b", Mapping(Direction.INGRESS, "b", "a", restore=False), "id")
    assert index.scope(one) == index.scope(other)
    index.close()


def test_reading_sees_one_state_while_rows_are_written(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index"))
    scope = index.scope(SCOPE)
    for number in range(3000):
        index.record(scope, row(f"{number:05}"))
    seen = 0
    for found in index.rows(scope):
        index.record(scope, row(found.path + "x"))
        index.record(scope, row(found.path, size=2))
        assert found.local.size == 1
        seen += 1
    assert seen == 3000
    assert sum(1 for _ in index.rows(scope)) == 6000
    index.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["empty", "garbage", "a torn database"],
)
def test_a_file_that_is_no_index_is_set_aside_or_filled(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index"
    path.write_bytes(content)
    index = Index(str(path))
    scope = index.scope(SCOPE)
    index.record(scope, row("a"))
    assert list(index.rows(scope)) == [row("a")]
    index.close()
    if content:
        assert (tmp_path / "index.broken").read_bytes() == content


@pytest.mark.parametrize("statement", ["CREATE TABLE foreign_table (a)", f"PRAGMA user_version = {FORMAT + 1}"])
def test_a_database_of_another_kind_or_format_is_set_aside(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "index"
    if "PRAGMA" in statement:
        Index(str(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    index = Index(str(path))
    assert list(index.rows(index.scope(SCOPE))) == []
    index.close()
    assert (tmp_path / "index.broken").exists()


def test_a_truncated_index_is_noticed_and_started_afresh(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = Index(str(path))
    scope = index.scope(SCOPE)
    for number in range(5000):
        index.record(scope, row(f"{number:05}"))
    index.close()
    os.truncate(path, os.path.getsize(path) // 2)
    index = Index(str(path))
    try:
        assert len(list(index.rows(index.scope(SCOPE)))) < 5000
    except IndexBroken as error:
        index.start_afresh(error)
    assert list(index.rows(index.scope(SCOPE))) == []
    index.close()


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(IndexUnusable, match="check the volume"):
        Index(str(tmp_path / "missing" / "index"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs takes root")
def test_a_full_disk_loses_nothing_and_what_waits_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mount)], check=False).returncode:
        pytest.skip("mount is not allowed here")
    try:
        index = Index(str(mount / "index"))
        scope = index.scope(SCOPE)
        with pytest.raises(NoRoom):
            _fill(index, scope)
        held = len(index._rows)
        assert held == MOST_UNWRITTEN, "what cannot be written is remembered, up to a bound"
        paths = [agreed.path for agreed in index.rows(scope)]
        assert paths == sorted(set(paths)), "written and unwritten rows are one stream"
        assert len(paths) > held
        assert index.get(scope, paths[-1]) is not None
        index.forget(scope, paths[:10])
        assert "index not tidied" in caplog.text or len(list(index.rows(scope))) == len(paths) - 10
        subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
        index.commit()
        assert not index._rows
        assert "index is written again" in caplog.text
        index.close()
        again = Index(str(mount / "index"))
        assert len(list(again.rows(scope))) >= len(paths) - 10
        again.close()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def _fill(index: Index, scope: int) -> None:
    for number in range(100_000):
        index.record(scope, row(f"{number:05}" * 20))


WRITER = """
import sys
from sidecar.state.index import Index
from tests.sidecar.state.test_index import SCOPE, row
index = Index(sys.argv[1])
scope = index.scope(SCOPE)
number = sum(1 for _ in index.rows(scope))
while True:
    index.record(scope, row(f"{number:08}"))
    number += 1
    if number % 50 == 0:
        index.commit()
        print(number, flush=True)
"""


def test_it_survives_kill_9_at_any_instant(tmp_path: Path) -> None:
    path = str(tmp_path / "index")
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = 0
        for _ in range(20):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        said = max([said, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        index = Index(path)
        found = [agreed.path for agreed in index.rows(index.scope(SCOPE))]
        assert found == [f"{number:08}" for number in range(len(found))]
        assert len(found) >= said, "what was committed is there"
        index.close()
    assert not os.path.exists(path + ".broken")


def test_held_files_are_remembered_and_aged(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index"))
    one = index.hold("in/a", 7, Fingerprint(1, 2, 3, 4), 2)
    other = index.hold("in/b", 8, None, 2)
    index.close()
    index = Index(str(tmp_path / "index"))
    assert [(held.id, held.path, held.expected) for held in index.held()] == [
        (one, "in/a", Fingerprint(1, 2, 3, 4)),
        (other, "in/b", None),
    ]
    index.age_held()
    index.age_held()
    index.age_held()
    assert {held.cycles_left for held in index.held()} == {0}
    index.release(one)
    assert [held.id for held in index.held()] == [other]
    assert index.hold("in/c", 9, None, 2) > other, "a number is never used again"
    index.close()


def test_an_index_of_the_format_before_is_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE scope (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
            CREATE TABLE agreed (
              scope INTEGER NOT NULL, path TEXT NOT NULL,
              size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
              sha256 BLOB NOT NULL, etag TEXT NOT NULL, remote_size INTEGER NOT NULL, recheck_at REAL NOT NULL,
              PRIMARY KEY (scope, path)
            ) WITHOUT ROWID;
            CREATE TABLE held (
              id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, new_inode INTEGER NOT NULL,
              size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, cycles_left INTEGER NOT NULL
            );
            PRAGMA application_id = 252828282; PRAGMA user_version = 1;
            """.replace("252828282", str(0x0F10DA7A))
        )
        connection.execute("INSERT INTO scope VALUES (1, ?)", (SCOPE.identity,))
        connection.execute("INSERT INTO agreed VALUES (1, 'a', 1, 2, 3, 4, ?, 'etag', 1, 0.0)", (b"x" * 32,))
    connection.close()
    index = Index(str(path))
    scope = index.scope(SCOPE)
    (row,) = index.rows(scope)
    assert (row.path, row.local, row.gone_at) == ("a", Fingerprint(1, 2, 3, 4), 0.0)
    assert index.directory(scope) == ""
    index.close()
    assert not (tmp_path / "index.broken").exists()


def test_rows_can_be_marked_and_forgotten_written_or_not(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index"))
    scope = index.scope(SCOPE)
    for name in "abc":
        index.record(scope, row(name))
    index.commit()
    index.record(scope, row("d"))
    index.mark_gone(scope, [RelativePath("a")], 5.0)
    index.forget(scope, [RelativePath("b"), RelativePath("d")])
    assert [(agreed.path, agreed.gone_at) for agreed in index.rows(scope)] == [("a", 5.0), ("c", 0.0)]
    index.record(scope, row("a"))
    index.commit()
    assert [agreed.gone_at for agreed in index.rows(scope)] == [0.0, 0.0], "what is seen again is not gone"
    index.set_directory(scope, "7:1")
    index.close()
    index = Index(str(tmp_path / "index"))
    assert index.directory(scope) == "7:1"
    index.close()


def test_a_reader_sees_what_is_written_beside_the_writer_and_after_it(tmp_path: Path) -> None:
    path = str(tmp_path / "index")
    assert connect_to_read(path) is None
    index = Index(path)
    index.record(index.scope(SCOPE), row("a"))
    index.commit()
    for _ in range(2):
        reader = connect_to_read(path)
        assert reader is not None
        assert reader.execute("SELECT path FROM agreed").fetchall() == [("a",)]
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("DELETE FROM agreed")
        reader.close()
        index.close()
    assert os.listdir(tmp_path) == ["index"], "a reader leaves nothing behind"
