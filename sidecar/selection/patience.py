"""How long a file that keeps changing while it is read may wait: five minutes, then it goes as it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 300.0  # seconds
_REMEMBERED: Final = 10_000  # paths; more than that forget when they began


class Patience:
    """When each path was first found changing. Thread-safe, bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def lost_with(self, path: str) -> bool:
        """Whether ``path`` has been changing for longer than anyone should wait."""
        with self._lock:
            since = self._since.get(path)
        return since is not None and self._clock() - since >= LONGEST

    def found_changing(self, path: str) -> None:
        """``path`` changed under our hands just now."""
        with self._lock:
            if len(self._since) >= _REMEMBERED:
                self._since.clear()
            self._since.setdefault(path, self._clock())

    def found_still(self, path: str) -> None:
        """``path`` was read whole."""
        with self._lock:
            self._since.pop(path, None)
