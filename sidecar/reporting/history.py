"""What moved in the last hours, and how many requests were made today. Bounded memory, lost at the end.

Workers and the engine's thread write, the listener's threads read.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from contract.mapping import Direction

SLOT: Final = 60.0  # seconds
SLOTS: Final = 360  # six hours


class History:
    """A ring of minutes. ``clock`` is monotonic, so that a clock that is set moves nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._slot = int(clock() // SLOT)
        self._moved: dict[Direction, deque[int]] = {direction: deque([0], SLOTS) for direction in Direction}
        self._day = self._today()
        self._since = now()
        self._requests: Counter[str] = Counter()
        self._failed = 0

    def moved(self, direction: Direction, size: int) -> None:
        """``size`` bytes were sent or fetched just now."""
        with self._lock:
            self._advance()
            self._moved[direction][-1] += size

    def requested(self, operation: str, *, failed: bool) -> None:
        """A request was made to the object store."""
        with self._lock:
            self._new_day()
            self._requests[operation] += 1
            self._failed += failed

    def throughput(self) -> dict[str, Any]:
        """Bytes per slot and direction, oldest first; the last slot is under way."""
        with self._lock:
            self._advance()
            moved = {direction.value: list(slots) for direction, slots in self._moved.items()}
        return {"slot_seconds": SLOT, "slots": SLOTS, **moved}

    def requests(self) -> dict[str, Any]:
        """Requests since ``since`` (seconds since the epoch): midnight UTC, or the start of this process."""
        with self._lock:
            self._new_day()
            return {
                "since": self._since,
                "total": self._requests.total(),
                "failed": self._failed,
                "operations": dict(sorted(self._requests.items())),
            }

    def _advance(self) -> None:
        slot = int(self._clock() // SLOT)
        if slot == self._slot:
            return
        for slots in self._moved.values():
            slots.extend([0] * min(slot - self._slot, SLOTS))
        self._slot = slot

    def _new_day(self) -> None:
        day = self._today()
        if day != self._day:
            self._day, self._since, self._failed = day, day * 86400.0, 0
            self._requests.clear()

    def _today(self) -> int:
        return int(self._now() // 86400)
