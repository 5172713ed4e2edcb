"""The work queue: which objects to look at, each once, and failing ones ever later.

A key that is marked while it is being worked on comes again afterwards, so that two workers never hold the
same object and no news is lost. Nothing is persisted: what is to do is derived anew by looking.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from controller.resources import Key

_FIRST_DELAY: Final = 0.2  # seconds after the first failure; doubled with each further one
_LONGEST_DELAY: Final = 120.0


class WorkQueue:
    """See the module. Safe to use from every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[Key] = deque()
        self._waiting: list[tuple[float, Key]] = []  # a heap by when
        self._when: dict[Key, float] = {}  # what counts of the heap
        self._dirty: set[Key] = set()  # in _ready, or to be put there once no longer in work
        self._in_work: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closed = False

    def add(self, key: Key) -> None:
        """Look at ``key`` as soon as possible."""
        with self._changed:
            self._add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at ``key`` in ``seconds``, or when it is marked before."""
        with self._changed:
            due = self._clock() + seconds
            if due < self._when.get(key, float("inf")):
                self._when[key] = due
                heapq.heappush(self._waiting, (due, key))
                self._changed.notify_all()

    def failed(self, key: Key) -> float:
        """Look at ``key`` again after a time that doubles with each failure; return it, in seconds."""
        with self._changed:
            count = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(count - 1, 30))
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """Forget that ``key`` ever failed."""
        with self._changed:
            self._failures.pop(key, None)

    def take(self, timeout: float) -> Key | None:
        """The next key to look at, after which :meth:`done` is due; None after ``timeout`` seconds or when closed."""
        until = self._clock() + timeout
        with self._changed:
            while not self._closed:
                now = self._clock()
                self._wake_up(now)
                if self._ready:
                    key = self._ready.popleft()
                    self._dirty.discard(key)
                    self._in_work.add(key)
                    return key
                if now >= until:
                    return None
                due = self._waiting[0][0] if self._waiting else until
                self._changed.wait(max(0.0, min(until, due) - now))
        return None

    def done(self, key: Key) -> None:
        """``key`` was looked at."""
        with self._changed:
            self._in_work.discard(key)
            if key in self._dirty:
                self._ready.append(key)
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether nothing is in work or ready; what waits for a later time does not count."""
        with self._changed:
            self._wake_up(self._clock())
            return not self._dirty and not self._in_work

    def close(self) -> None:
        """Let every :meth:`take` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, key: Key) -> None:
        self._when.pop(key, None)  # sooner than any wait
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._in_work:
            self._ready.append(key)
            self._changed.notify_all()

    def _wake_up(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            due, key = heapq.heappop(self._waiting)
            if self._when.get(key) == due:
                self._add(key)
