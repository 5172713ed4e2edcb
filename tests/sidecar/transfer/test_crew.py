"""Threads as they are needed, and what happens where there can be no more."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

from sidecar.transfer.crew import Crew

DEADLINE = 60.0


def test_tasks_run_beside_one_another_and_all_are_done_before_the_end() -> None:
    together = threading.Barrier(3)
    done: SimpleQueue[int] = SimpleQueue()

    def work(task: int) -> None:
        together.wait(DEADLINE)
        done.put(task)

    crew = Crew("t", work)
    for under_way in (1, 2, 3):
        crew.give(under_way, under_way)
    crew.dismiss()
    assert sorted(done.get_nowait() for _ in range(3)) == [1, 2, 3]


def test_there_are_no_more_threads_than_tasks_under_way() -> None:
    names: SimpleQueue[str] = SimpleQueue()
    crew: Crew[int] = Crew("t", lambda _task: names.put(threading.current_thread().name))
    for _ in range(20):
        crew.give(0, 1)
        names.get(timeout=DEADLINE)
    crew.give(0, 1)
    crew.dismiss()
    assert names.get_nowait() == "t-0"


def test_where_no_more_can_be_started_those_there_are_do_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    done: SimpleQueue[int] = SimpleQueue()
    crew: Crew[int] = Crew("t", done.put)
    crew.give(1, 1)
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    crew.give(2, 2)
    crew.dismiss()
    assert [done.get_nowait(), done.get_nowait()] == [1, 2]


def test_where_none_can_be_started_the_task_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    crew: Crew[int] = Crew("t", lambda _task: None)
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    with pytest.raises(RuntimeError):
        crew.give(1, 1)
    crew.dismiss()


def _refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
