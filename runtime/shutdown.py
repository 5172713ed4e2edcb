"""An orderly end: SIGTERM or SIGINT asks to stop, and leaves a known time to do it in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType


class Shutdown:
    """Whether to stop, and how long is left. Safe to use from every thread.

    ``grace`` is in seconds, counted from the first signal; later signals change nothing.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._requested = threading.Event()
        self._deadline: float | None = None

    def install(self) -> None:
        """Take over SIGTERM and SIGINT. Call it from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def request(self) -> None:
        """Ask to stop, as a signal would."""
        if self._deadline is None:
            self._deadline = self._clock() + self._grace
        self._requested.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._requested.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep until a stop is asked for, at most ``seconds``; return :attr:`requested`."""
        return self._requested.wait(max(0.0, seconds))

    def remaining(self) -> float:
        """Seconds left of the grace period; all of it before a stop is asked for, never below 0."""
        if self._deadline is None:
            return self._grace
        return max(0.0, self._deadline - self._clock())

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
