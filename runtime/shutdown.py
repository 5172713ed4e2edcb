"""An orderly end: SIGTERM or SIGINT asks to stop, and leaves a known time to do it in."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGINT)


def hold_signals() -> None:
    """Let SIGTERM and SIGINT wait until :meth:`Shutdown.install` or :func:`release_signals`.

    Call it first thing, before any thread is started. The kernel drops what it sends to the first process
    of a container that has no handler for it, but for signals that are blocked (``sig_ignored`` in
    kernel/signal.c).
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def release_signals() -> None:
    """Deliver what :func:`hold_signals` kept waiting, and what comes."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


class Shutdown:
    """Whether to stop, and how long is left. Safe to use from every thread.

    ``grace`` is in seconds, counted from the first signal; later signals change nothing.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._requested = False
        # Not an Event: a signal is handled between two steps of the main thread, and one that came while
        # that thread was entering Event.wait would wait for a lock held by itself. This queue is reentrant.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._deadline: float | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT, those that were held included. Call it from the main thread."""
        for number in _ENDING:
            signal.signal(number, self._on_signal)
        release_signals()

    def request(self) -> None:
        """Ask to stop, as a signal would."""
        if self._deadline is None:
            self._deadline = self._clock() + self._grace
        self._requested = True
        self._wake.put(None)

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._requested

    def wait(self, seconds: float) -> bool:
        """Sleep until a stop is asked for, at most ``seconds``; return :attr:`requested`."""
        if not self._requested:
            with suppress(queue.Empty):
                self._wake.get(timeout=max(0.0, seconds))
                self._wake.put(None)  # for whoever else waits
        return self._requested

    def remaining(self) -> float:
        """Seconds left of the grace period; all of it before a stop is asked for, never below 0."""
        if self._deadline is None:
            return self._grace
        return max(0.0, self._deadline - self._clock())

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
