"""How many transfers run at once: some beside a fast server, many where each one mostly waits.

It begins with forty, which one thread serves at ease, and doubles while we wait rather than work. Doubling
goes on as long as it clearly pays; where it makes no difference it stops at a modest number, and where it
harms it is taken back. Rates are noisy, so a doubling that did not pay is tried again a little later. A
server that asks for patience, or is gone, halves the number.

Pure but for the clocks that it is given. What the number bounds is ``transfer.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FIRST: Final = 40
LEAST: Final = 4
MODEST: Final = 80  # beyond this only what clearly pays
MOST: Final = 320

WEIGHED: Final = 64 * 2**10  # bytes that count as much as one file does by itself
_WINDOW: Final = 0.1  # seconds, the least over which a rate means anything
_BUSY: Final = 0.8  # of one core: all of our own work is done under one lock, so this is nearly all there is
_PAYS: Final = 1.25  # times the rate, for twice as many
_HARMS: Final = 0.85
_PAUSE: Final = 6  # windows until a doubling that did not pay is tried again; then twice as many, and so on
_LONGEST_PAUSE: Final = 100
_PATIENCE: Final = 100  # windows, after the server asked for some


class Pace:
    """``limit`` is how many may run now. One thread uses it.

    ``clock`` gives seconds, ``cpu`` the processor seconds that this process has used.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self.limit = FIRST
        self._before: tuple[int, float] | None = None  # limit and rate ahead of the doubling that is on trial
        self._pause, self._next_pause = 0, _PAUSE
        self._settling = 0  # transfers still to end that began under the old limit
        self.begin()

    def begin(self) -> None:
        """Measure from now on: what lies between two runs is no transfer."""
        self._since, self._used = self._clock(), self._cpu()
        self._ended = self._full = 0
        self._work = 0.0

    def ended(self, size: int, *, full: bool) -> None:
        """A transfer of ``size`` bytes ended; ``full``: as many ran as may."""
        if self._settling:
            self._settling -= 1
            if not self._settling:
                self.begin()
            return
        self._ended += 1
        self._full += full
        self._work += 1 + size / WEIGHED
        seconds = self._clock() - self._since
        if seconds < _WINDOW or self._ended < 2 * self.limit:
            return
        waiting = 2 * self._full >= self._ended and (self._cpu() - self._used) / seconds < _BUSY
        self._decide(self._work / seconds, waiting=waiting)
        self.begin()

    def refused(self) -> None:
        """The server asks for patience, or cannot be reached."""
        if self._pause < _PATIENCE // 2:  # once for all that were under way together
            self._become(max(LEAST, self.limit // 2))
            self._before, self._pause = None, _PATIENCE

    def _decide(self, rate: float, *, waiting: bool) -> None:
        if self._before is not None:
            limit, earlier = self._before
            self._before = None
            if rate < earlier * (_PAYS if self.limit > MODEST else _HARMS):
                self._become(limit)
            if rate < earlier * _PAYS:
                self._pause, self._next_pause = self._next_pause, min(2 * self._next_pause, _LONGEST_PAUSE)
                return
            self._next_pause = _PAUSE
        if self._pause:
            self._pause -= 1
        elif waiting and self.limit < MOST:
            self._before = (self.limit, rate)
            self._become(min(MOST, 2 * self.limit))

    def _become(self, limit: int) -> None:
        self.limit = limit
        self._settling = limit
