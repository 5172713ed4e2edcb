"""Threads that each do one task at a time, begun as they are needed.

Less than an executor: nobody waits for a task by itself, outcomes come back on a queue of the caller's.
Tens of thousands of small files an hour make an executor's future, with its lock and condition, the
dearest part of handing one over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")


class Crew(Generic[Task]):
    """Calls ``work`` with each task, which must not raise. The caller's thread alone uses it."""

    def __init__(self, name: str, work: Callable[[Task], None]) -> None:
        self._name = name
        self._work = work
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def give(self, task: Task, under_way: int) -> None:
        """Have ``task`` done; ``under_way`` tasks, this one included, are not done yet: so many threads there are.

        Raises:
            RuntimeError: not even one thread could be started; the task was not taken.
        """
        if len(self._threads) < under_way:
            self._begin_another()
        self._tasks.put(task)

    def dismiss(self) -> None:
        """End all threads, once they have done what was given. Nothing may be given any more."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _begin_another(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the container may have no more processes: those that are there do it all
            if not self._threads:
                raise
            return
        self._threads.append(thread)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._work(task)
