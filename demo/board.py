"""What there is to see of a running sidecar: counts, arrivals, the last log lines. No output here.

Neighbours: ``observer`` fills it from the sidecar's log and ``/status``; ``screen`` draws it.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

ARROWS: Final = {"uploaded": "↑", "downloaded": "↓"}
_ARRIVALS = 8
_LINES = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that reached the other side; ``size`` in bytes."""

    arrow: str
    path: str
    size: int


@dataclass(slots=True)
class Board:
    """The sidecar as last seen. One thread writes it; readers may see it a moment late."""

    cycle: int = 0
    next_at: float | None = None  # monotonic
    state: str = "starting"
    files: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ARROWS.values(), 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ARROWS.values(), 0))
    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=_ARRIVALS))
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    def add_line(self, line: dict[str, Any]) -> Arrival | None:
        """Take in one line of the log; the arrival it tells of, if any."""
        self.lines.append(summary(line))
        arrow = ARROWS.get(str(line.get("message")))
        if arrow is None:
            return None
        arrival = Arrival(arrow, str(line.get("path")), int(line.get("bytes", 0)))
        self.files[arrow] += 1
        self.bytes[arrow] += arrival.size
        self.arrivals.append(arrival)
        return arrival

    def add_status(self, status: dict[str, Any]) -> None:
        """Take in the sidecar's ``/status``."""
        self.cycle = int(status["cycle"])
        left = status.get("next_cycle_in")
        self.next_at = None if left is None else time.monotonic() + float(left)
        if any(mapping.get("syncing") for mapping in status["mappings"]):
            self.state = "syncing"
        else:
            self.state = str(status.get("waiting_for") or "waiting for the next cycle")

    def next_in(self) -> float | None:
        """Seconds until the next cycle, or None while that is not known."""
        return None if self.next_at is None else max(0.0, self.next_at - time.monotonic())


def summary(line: dict[str, Any]) -> str:
    """A line of the log for a person: time, message, fields."""
    fields = {key: value for key, value in line.items() if key not in ("time", "level", "logger", "message")}
    told = " ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in fields.items())
    return f"{str(line.get('time', ''))[11:19]} {line.get('message', '')} {told}".rstrip()


def size(count: float) -> str:
    """``count`` bytes for a person."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
