"""The observer follows a sidecar's log and waits for its cycles, and never for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.board import Board
from demo.errors import CycleDidNotCome
from demo.facts import Facts
from demo.observer import Observer
from demo.processes import program
from demo.runner import PodRunner, Prepared
from demo.screen import PlainScreen

CYCLE = json.dumps(
    {"message": "cycle", "direction": "egress", "cycle": 1, "result": "ok", "files": 1, "bytes": 3, "seconds": 0.1}
)
UPLOAD = json.dumps({"message": "uploaded", "path": "stats/a", "bytes": 3})


def running(state: Path, script: str) -> PodRunner:
    """A runner whose sidecar is ``script``."""
    runner = PodRunner({"metadata": {}, "spec": {}}, Facts("node"), state, {})
    runner.start([Prepared("data-sync", program(["sh", "-c", script]), {}, {}, once=False)])
    return runner


def test_arrivals_and_cycles_are_told_in_the_order_of_the_log(tmp_path: Path) -> None:
    lines: list[str] = []
    runner, board = running(tmp_path, f"echo '{UPLOAD}'; echo 'no JSON'; echo '{CYCLE}'; exec sleep 60"), Board()
    with Observer(runner, board, PlainScreen(lines.append)) as observer:
        observer.wait_for("a cycle", lambda: len(observer.cycles("egress")) == 1, 30)
    runner.stop(5)
    assert [line.strip() for line in lines] == ["↑ stats/a  3 B", "cycle 1, egress: ok, 1 files, 3 B in 0.10 s"]
    assert board.files["↑"] == 1
    assert "no JSON" in board.lines[1]
    assert observer.cycles("ingress") == []


def test_a_line_that_is_written_in_two_halves_is_read_as_one(tmp_path: Path) -> None:
    half = len(CYCLE) // 2
    script = f"printf %s '{CYCLE[:half]}'; sleep 0.5; echo '{CYCLE[half:]}'; exec sleep 60"
    runner = running(tmp_path, script)
    with Observer(runner, Board(), PlainScreen(lambda _: None)) as observer:
        observer.wait_for("a cycle", lambda: len(observer.cycles("egress")) == 1, 30)
    runner.stop(5)


def test_a_sidecar_that_ends_ends_the_waiting(tmp_path: Path) -> None:
    runner = running(tmp_path, "exit 2")
    with (
        Observer(runner, Board(), PlainScreen(lambda _: None)) as observer,
        pytest.raises(CycleDidNotCome, match="container data-sync ended with 2 before its first cycle") as fault,
    ):
        observer.wait_for("its first cycle", lambda: False, 30)
    assert fault.value.log == tmp_path / "data-sync.log"


def test_a_cycle_that_does_not_come_ends_the_waiting(tmp_path: Path) -> None:
    runner = running(tmp_path, "exec sleep 60")
    with (
        Observer(runner, Board(), PlainScreen(lambda _: None)) as observer,
        pytest.raises(CycleDidNotCome, match="cycle 1 did not come within 0 s"),
    ):
        observer.wait_for("cycle 1", lambda: False, 0.1)
    runner.stop(5)


def test_what_was_written_last_is_still_read(tmp_path: Path) -> None:
    runner, board = running(tmp_path, "exec sleep 60"), Board()
    with Observer(runner, board, PlainScreen(lambda _: None)), (tmp_path / "data-sync.log").open("a") as log:
        log.write(UPLOAD + "\n")
    runner.stop(5)
    assert board.files["↑"] == 1
