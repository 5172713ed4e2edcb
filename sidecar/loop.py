"""Many small tasks in one thread: each runs until it has to wait, then another goes on.

Ten thousand small files are mostly Python's own work, and threads that share one interpreter lock take
it from each other at every system call: beside a fast server ten of them cost twice the processor time
of one. So small transfers run here, each on a stack of its own (a greenlet), and change places only
where they would wait. What they call is the same straight code that threads run: a wait of
:func:`readable`, :func:`writable` or :func:`pause` blocks the thread outside a loop, and inside one
lets the others go on. Everything else that blocks (a slow disk) holds up all tasks of
the loop: keep it short, and give long work to a thread.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from greenlet import getcurrent, greenlet

SMALL: Final = 512 * 2**10  # bytes that a task may read and hash; more has work enough for a thread of its own
_SWEEP: Final = 1.0  # seconds between two looks for waits that took too long
_SLICE: Final = 0.25  # seconds a pause sleeps before it looks whether it is to end


class LongWork(Exception):
    """Raised in a task, by what would hold up all the others: a thread must do it."""


class _Here(threading.local):
    loop: Loop | None = None  # of this thread


_here: Final = _Here()


class _Task(greenlet):
    loop: Loop


class Loop:
    """Runs tasks in the thread that made it and alone uses it, but for :meth:`wake`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._poller = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._alarm, select.EPOLLIN)
        self._waiting: dict[int, tuple[_Task, float]] = {}  # by descriptor; and until when
        self._sleeping: list[tuple[float, int, _Task]] = []
        self._numbers = itertools.count()
        self._home = getcurrent()
        self._home_waits: int | None = None  # for this descriptor
        _here.loop = self
        self._sweep_at = clock() + _SWEEP

    def close(self) -> None:
        """Let it go; no task may be left."""
        _here.loop = None
        self._poller.close()
        os.close(self._alarm)

    @property
    def busy(self) -> bool:
        """Whether some task waits here."""
        return bool(self._waiting or self._sleeping)

    def start(self, work: Callable[[], None]) -> None:
        """Begin a task and run it up to its first wait. What it raises, whoever runs it at that moment gets."""
        task = _Task(work)
        task.loop = self
        task.switch()

    def step(self, *, at_once: bool = False) -> None:
        """Wait until something happens, unless ``at_once``, and let those go on for whom it did; maybe for none."""
        now = self._clock()
        wake_at = min(self._sweep_at, self._sleeping[0][0]) if self._sleeping else self._sweep_at
        for descriptor, _ in self._poller.poll(0.0 if at_once else max(0.0, wake_at - now)):
            if descriptor == self._alarm:
                os.eventfd_read(self._alarm)
            elif descriptor == self._home_waits:
                self._home_waits = None
            elif (found := self._waiting.pop(descriptor, None)) is not None:
                found[0].switch()
        now = self._clock()
        while self._sleeping and self._sleeping[0][0] <= now:
            heapq.heappop(self._sleeping)[2].switch()
        if now >= self._sweep_at:
            self._end_waits_before(now)

    def interrupt(self, error: Exception) -> None:
        """Raise ``error`` in every task that waits."""
        waiting, self._waiting = self._waiting, {}
        sleeping, self._sleeping = self._sleeping, []
        for task in [task for task, _ in waiting.values()] + [task for _, _, task in sleeping]:
            task.throw(error)

    def wake(self) -> None:
        """Have the step that is under way, or the next one, return. From any thread."""
        os.eventfd_write(self._alarm, 1)

    def wait(self, task: _Task, descriptor: int, events: int, seconds: float) -> None:
        """For a task: until one of ``events`` happens; see :func:`readable`."""
        self._arm(descriptor, events)
        self._waiting[descriptor] = (task, self._clock() + seconds)
        self._home.switch()

    def wait_at_home(self, descriptor: int, events: int, seconds: float) -> None:
        """For whoever runs the loop: the same, while the tasks go on."""
        self._arm(descriptor, events)
        self._home_waits = descriptor
        until = self._clock() + seconds
        while self._home_waits is not None:
            if self._clock() > until:
                self._home_waits = None
                raise TimeoutError("timed out")
            self.step()

    def sleep(self, task: _Task, seconds: float) -> None:
        """For a task: let others go on for so long; see :func:`pause`."""
        heapq.heappush(self._sleeping, (self._clock() + seconds, next(self._numbers), task))
        self._home.switch()

    def _arm(self, descriptor: int, events: int) -> None:
        try:
            self._poller.modify(descriptor, events | select.EPOLLONESHOT)
        except FileNotFoundError:
            self._poller.register(descriptor, events | select.EPOLLONESHOT)

    def _end_waits_before(self, now: float) -> None:
        self._sweep_at = now + _SWEEP
        for descriptor, (task, until) in list(self._waiting.items()):
            if until <= now and self._waiting.pop(descriptor, None) is not None:
                task.throw(TimeoutError("timed out"))


def readable(descriptor: int, seconds: float) -> None:
    """Wait until something can be read from ``descriptor``, or it has ended.

    Raises:
        TimeoutError: not within ``seconds``.
    """
    _wait(descriptor, select.EPOLLIN, seconds)


def writable(descriptor: int, seconds: float) -> None:
    """Wait until something can be written to ``descriptor``, or it has ended.

    Raises:
        TimeoutError: not within ``seconds``.
    """
    _wait(descriptor, select.EPOLLOUT, seconds)


def pausing(wait: Callable[[float], bool]) -> Callable[[float], bool]:
    """``wait`` (sleep so many seconds; true when cut short by a stop), made fit for tasks of a loop as well."""

    def pause(seconds: float) -> bool:
        task = getcurrent()
        if type(task) is not _Task:
            return wait(seconds)
        until = time.monotonic() + seconds
        while not (stopped := wait(0.0)) and (left := until - time.monotonic()) > 0:
            task.loop.sleep(task, min(left, _SLICE))
        return stopped

    return pause


def step_aside(seconds: float) -> None:
    """For a task: let others go on for so long."""
    task = getcurrent()
    assert type(task) is _Task  # outside a loop there is nobody to step aside for
    task.loop.sleep(task, seconds)


def take_turns() -> None:
    """For whoever runs a loop and is busy with something long: let the tasks go on that can, without waiting."""
    loop = _here.loop
    if loop is not None and loop.busy and not in_loop():
        loop.step(at_once=True)


def stay_short(size: int) -> None:
    """Call it before reading ``size`` bytes.

    Raises:
        LongWork: they are too many for a task of a loop.
    """
    if size > SMALL and in_loop():
        raise LongWork


def in_loop() -> bool:
    """Whether a task of a loop runs here: then nothing may block for long."""
    return type(getcurrent()) is _Task


def _wait(descriptor: int, events: int, seconds: float) -> None:
    task = getcurrent()
    if type(task) is _Task:
        task.loop.wait(task, descriptor, events, seconds)
        return
    loop = _here.loop
    if loop is not None and loop.busy:
        loop.wait_at_home(descriptor, events, seconds)
        return
    poller = select.poll()
    poller.register(descriptor, events)
    if not poller.poll(seconds * 1000):
        raise TimeoutError("timed out")
