"""The demo's small parts: what it shows, what it compares, and what it leaves running."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from demo import kept
from demo.board import Board, size
from demo.bucket import differences, files
from demo.collector import SOURCES, write_once
from demo.observer import moved
from demo.screen import PlainScreen, cycle_sentence, panels

CYCLE = {"direction": "egress", "cycle": 2, "result": "ok", "files": 6, "bytes": 5120, "seconds": 0.5}


def test_equal_sides_have_no_differences() -> None:
    assert differences({"a": b"1"}, {"a": b"1", "more": b""}, "in the bucket") == []


def test_a_missing_file_and_other_content_are_named() -> None:
    assert differences({"a": b"1", "b": b"22"}, {"b": b"333"}, "in the bucket") == [
        "a (1 bytes) is not in the bucket",
        "b has 3 bytes in the bucket that are not its 2 bytes here",
    ]


def test_many_differences_are_counted() -> None:
    found = differences({str(number): b"" for number in range(9)}, {}, "there")
    assert len(found) == 6
    assert found[-1] == "and 4 more"


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert files(tmp_path / "absent") == {}


def test_the_collector_writes_what_the_kernel_says(tmp_path: Path) -> None:
    written = write_once(tmp_path, datetime(2026, 11, 22, 8, 30, 1, tzinfo=UTC))
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        f"{source}/2026-11-22T08-30-01.txt" for source in SOURCES
    ]
    assert (tmp_path / "meminfo/2026-11-22T08-30-01.txt").read_text().startswith("MemTotal:")


def test_metrics_that_moved_are_told_and_the_others_not() -> None:
    before = 'data_sync_a_total{d="x y"} 1.0\ndata_sync_b 2.0\n'
    after = '# HELP data_sync_a_total x\ndata_sync_a_total{d="x y"} 3.0\ndata_sync_b 2.0\ndata_sync_c 4.0\nother 9.0\n'
    assert moved(before, after) == [('data_sync_a_total{d="x y"}', 1.0, 3.0), ("data_sync_c", 0.0, 4.0)]


def test_the_board_counts_what_arrived() -> None:
    board = Board()
    board.add_line({"message": "uploaded", "path": "stats/a", "bytes": 10})
    board.add_line({"message": "uploaded", "path": "stats/b", "bytes": 5})
    board.add_line({"message": "downloaded", "path": "data/c", "bytes": 1})
    board.add_line({"message": "storage configured", "time": "2026-11-22T08:30:01.000Z", "bucket": "b"})
    assert (board.files, board.bytes) == ({"↑": 2, "↓": 1}, {"↑": 15, "↓": 1})
    assert board.lines[-1] == "08:30:01 storage configured bucket=b"


def test_the_panels_show_cycle_countdown_arrivals_and_log() -> None:
    board = Board()
    board.add_line({"message": "uploaded", "path": "stats/a", "bytes": 2048})
    board.add_status({"cycle": 7, "next_cycle_in": 12.3, "mappings": [{"syncing": False}], "waiting_for": None})
    console = Console(width=100, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - closed below
    console.print(panels(board))
    console.file.close()
    shown = console.export_text()
    assert "cycle 7" in shown
    assert "next cycle in 12 s" in shown
    assert shown.count("stats/a") == 2
    assert "↑ 1 files, 2.0 KiB" in shown


def test_plain_lines_name_the_first_arrivals_of_a_cycle_and_count_the_rest() -> None:
    lines: list[str] = []
    screen, board = PlainScreen(lines.append), Board()
    for number in range(6):
        arrival = board.add_line({"message": "uploaded", "path": f"stats/{number}", "bytes": 1})
        assert arrival is not None
        screen.arrived(arrival)
    screen.cycle_ended(CYCLE)
    assert lines[0].strip() == "↑ stats/0  1 B"
    assert [line.strip() for line in lines[4:]] == ["… and 2 more", "cycle 2, egress: ok, 6 files, 5.0 KiB in 0.50 s"]


def test_a_failed_cycle_says_why() -> None:
    assert cycle_sentence(CYCLE | {"result": "failed", "error": "unreachable"}).endswith("in 0.50 s (unreachable)")


def test_sizes_are_told_in_a_unit_that_fits() -> None:
    assert [size(1), size(1536), size(3 * 2**20), size(2**31)] == ["1 B", "1.5 KiB", "3.0 MiB", "2.0 GiB"]


def test_a_kept_demo_is_ended_and_removed(tmp_path: Path) -> None:
    directory = tmp_path / ".demo"
    directory.mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        kept.remember(directory, [process.pid])
        assert kept.stop(directory) == 1
        assert process.wait(10) == -signal.SIGKILL
    assert not directory.exists()


def test_a_number_that_another_program_has_by_now_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        (tmp_path / "processes.json").write_text(f'{{"{process.pid}": "1"}}')
        assert kept.stop(tmp_path) == 0
        assert process.poll() is None
        process.kill()


def test_ending_a_demo_that_was_not_kept_does_nothing(tmp_path: Path) -> None:
    assert kept.stop(tmp_path / "absent") == 0
