"""The sidecar's metrics, by section 5 of the contract. No label holds a path, a key or a pod name.

Counters and the histogram are there from the start, with their bounded label sets, so that a first
failure is an increase. Gauges are read from :class:`~sidecar.reporting.progress.Progress` when scraped
(``sidecar/reporting/gauges.py``), and are absent until first known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from contract.mapping import Direction
from sidecar.reporting.advice import ADVICE
from sidecar.reporting.gauges import PREFIX, Gauges
from sidecar.reporting.history import History
from sidecar.reporting.progress import Progress, Result

# "It is not there" and "it changed meanwhile" are answers, not failures.
_ORDINARY: Final = frozenset({"304", "404", "412"})
DIRECTIONS: Final = tuple(direction.value for direction in Direction)
_CYCLE_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)
# Each operation is there from the start with these codes; others of _CODES come when they happen.
_OPERATIONS: Final = ("put", "put_large", "get", "head", "list")
_FIRST_CODES: Final = ("200", "error")
_CODES: Final = frozenset(
    {"200", "206", "301", "307", "400", "401", "403", "404", "408", "409", "411", "412", "413", "416", "429"}
    | {"500", "501", "502", "503", "504", "507", "error"}
)


class Metrics:
    """Counters for the engine to move; ``registry`` holds them and the gauges of ``progress``.

    ``history`` hears of the same transfers and requests, for the page.
    """

    def __init__(
        self, progress: Progress, now: Callable[[], float] = time.time, history: History | None = None
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the contract's names and no others
        self.registry = CollectorRegistry()
        self.history = history or History()
        self._progress = progress
        self.files = self._counter("files_transferred", "Files whose body was sent or fetched.", "direction")
        self.bytes = self._counter("bytes_transferred", "Bytes of bodies sent or fetched.", "direction")
        self.errors = self._counter(
            "file_errors",
            "Files that could not be synced in a cycle, by reason; counted again in each cycle that tries them.",
            "direction",
            "reason",
        )
        self.cycles = self._counter(
            "cycles",
            "Sync cycles finished: ok, partial (some files could not go) or failed (nothing could).",
            "direction",
            "result",
        )
        self.requests = self._counter(
            "s3_requests", "Requests to the object store, by HTTP status; 'error' when none came.", "operation", "code"
        )
        self.cycle_seconds = Histogram(
            PREFIX + "cycle_duration_seconds",
            "How long a cycle took, over all mappings of a direction.",
            ["direction"],
            buckets=_CYCLE_BUCKETS,
            registry=self.registry,
        )
        self._begin_at_zero()
        # Looking a label up takes longer than counting, and this is done for every file.
        self._by_direction = {
            direction: (self.files.labels(direction.value), self.bytes.labels(direction.value))
            for direction in Direction
        }
        self._by_request: dict[tuple[str, str], Counter] = {}
        self.registry.register(Gauges(progress, now))

    def moved(self, direction: Direction, size: int) -> None:
        """Count one file whose body of ``size`` bytes was sent or fetched."""
        files, sizes = self._by_direction[direction]
        files.inc()
        sizes.inc(size)
        self.history.moved(direction, size)

    def on_request(self, operation: str, code: str) -> None:
        """Count one request to the object store."""
        counter = self._by_request.get((operation, code))
        if counter is None:
            counter = self._by_request[operation, code] = self.requests.labels(operation, _bounded(code))
        counter.inc()
        self.history.requested(operation, failed=not code.startswith("2") and code not in _ORDINARY)

    def on_skew(self, seconds: float) -> None:
        """Our clock is ahead of the server's by so much."""
        self._progress.clock_skew = round(seconds, 1)

    def _begin_at_zero(self) -> None:
        for direction in DIRECTIONS:
            self.files.labels(direction)
            self.bytes.labels(direction)
            self.cycle_seconds.labels(direction)
            for result in Result:
                self.cycles.labels(direction, result.value)
            for reason in ADVICE:
                self.errors.labels(direction, reason)
        for operation in _OPERATIONS:
            for code in _FIRST_CODES:
                self.requests.labels(operation, code)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)


def _bounded(code: str) -> str:
    """``code``, or its class where a server makes up one of its own."""
    if code in _CODES:
        return code
    return f"{code[0]}xx" if len(code) == 3 and code[0] in "12345" else "error"
