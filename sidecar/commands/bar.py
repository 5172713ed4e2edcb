"""A line that shows how far something is, on a terminal and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

_WIDTH: Final = 30
_PAUSE: Final = 0.1  # seconds between two drawings


class Bar:
    """Drawn on ``stream`` by carriage returns; on a stream that is no terminal it is silent."""

    def __init__(self, stream: TextIO, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total = total  # 0: unknown
        self._clock = clock
        self._seen = stream.isatty()
        self._next = 0.0
        self._width = 0

    def show(self, done: int, text: str) -> None:
        """So many are done."""
        now = self._clock()
        if self._seen and now >= self._next:
            self._next = now + _PAUSE
            self._draw(f"{self._filled(done)}{done}{f'/{self._total}' if self._total else ''} {text}")

    def clear(self) -> None:
        """Leave the line empty, for what is printed next."""
        if self._width:
            self._draw("")

    def _filled(self, done: int) -> str:
        if not self._total:
            return ""
        full = min(_WIDTH, _WIDTH * done // self._total)
        return f"[{'#' * full}{'.' * (_WIDTH - full)}] "

    def _draw(self, line: str) -> None:
        self._stream.write(f"\r{line.ljust(self._width)}\r{line}")
        self._stream.flush()
        self._width = len(line)
