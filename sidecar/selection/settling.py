"""``settle``: whether a file has been quiet for as long as its mapping asks (promise 8).

By the time of its last change, which no program can set; and, since clocks jump, also by how long it
looked the same here. A file that is never quiet goes after five minutes, or after ``settle`` where that
is longer, and then waits anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidecar.errors import Refused
from sidecar.selection.patience import LONGEST
from sidecar.tree import Fingerprint

_REMEMBERED: Final = 10_000  # files; more than that forget when they began to wait


class StillSettling(Refused):
    """The file was changed too short a time ago."""

    reason = "settling"


@dataclass(slots=True)
class _Waiting:
    since: float  # monotonic
    seen: Fingerprint
    same_since: float


class Settling:
    """See the module. The engine's thread alone uses it; bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def quiet(self, path: str, seen: Fingerprint, wanted: float, now: float) -> bool:
        """Whether ``path`` may go. ``wanted`` in seconds, ``now`` since the epoch."""
        moment = self._clock()
        if now - seen.ctime_ns / 1e9 >= wanted:
            self._waiting.pop(path, None)
            return True
        known = self._waiting.get(path)
        if known is None:
            if len(self._waiting) >= _REMEMBERED:
                self._waiting.clear()
            self._waiting[path] = _Waiting(moment, seen, moment)
            return False
        if known.seen != seen:
            known.seen, known.same_since = seen, moment
        if moment - known.same_since >= wanted or moment - known.since >= max(LONGEST, wanted):
            del self._waiting[path]
            return True
        return False
