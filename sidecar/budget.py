"""Requests to the bucket, counted by UTC day and kept over restarts; with a budget, refused beyond it.

Somebody pays for requests, or a plan allows so many a day. Counting costs nothing; where a budget is
set, what is left goes to the smallest and oldest files, and the rest waits for the next day. What is
counted is what was sent, tries that failed included.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from runtime.logs import fields
from sidecar.errors import Refused
from sidecar.plan import Action
from sidecar.remote.store import SMALL_BODY
from sidecar.state.ownership import replace_file

log = logging.getLogger(__name__)

COUNT_FILE: Final = "requests"
_DAY: Final = 86_400  # seconds
_SAVE_EVERY: Final = 60.0  # seconds between two writes of a count that limits nothing


class BudgetSpent(Refused):
    """The day's requests are used up."""

    reason = "request_budget"
    hint = "it goes on at midnight UTC; or raise DATA_SYNC_REQUEST_BUDGET"


class RequestBudget:
    """See the module. Thread-safe. ``limit``: requests a UTC day, None for any number.

    With a limit, the file is always a little ahead of the truth, so that no kill gives requests back.
    """

    def __init__(
        self,
        limit: int | None = None,
        directory: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.limit = limit
        self._path = f"{directory}/{COUNT_FILE}" if directory else None
        self._now = now
        self._lock = threading.Lock()
        self._day_number = -1
        self._day = ""
        self._count = 0
        self._under_way = 0
        self._noted = 0  # what the file says
        self._noted_at = 0.0
        self._ahead = max(1, limit // 100) if limit else 0
        self._loaded = False

    def begin_cycle(self) -> None:
        """Read what was counted before this process; and nothing is under way now."""
        with self._lock:
            if not self._loaded:
                self._load()
            self._under_way = 0
            self._roll()

    @property
    def today(self) -> int:
        """Requests of this UTC day."""
        with self._lock:
            self._roll()
            return self._count

    def left(self) -> int | None:
        """How many more may be sent today; None: any number."""
        if self.limit is None:
            return None
        with self._lock:
            self._roll()
            return max(0, self.limit - self._count - self._under_way)

    def allow(self, operation: str) -> None:
        """A request is about to be sent.

        Raises:
            BudgetSpent: it must not be.
        """
        if self.limit is None:
            return
        with self._lock:
            self._roll()
            if self._count + self._under_way >= self.limit:
                raise BudgetSpent(operation, "the bucket", f"all {self.limit} requests of this day are spent")
            self._under_way += 1

    def count(self, _operation: str, _code: str) -> None:
        """A request was sent."""
        with self._lock:
            self._roll()
            self._count += 1
            self._under_way = max(0, self._under_way - 1)
            if self.limit is not None and self._count > self._noted:
                self._note(self._count + self._ahead)

    def end_cycle(self, *, closing: bool = False) -> None:
        """Write the count down, when there is reason to."""
        with self._lock:
            late = time.monotonic() - self._noted_at >= _SAVE_EVERY
            if self._loaded and (closing or (self.limit is None and late and self._count != self._noted)):
                self._note(self._count)

    def _roll(self) -> None:
        number = int(self._now() // _DAY)
        if number != self._day_number:
            self._day_number = number
            self._day, self._count, self._noted = time.strftime("%Y-%m-%d", time.gmtime(number * _DAY)), 0, 0

    def _load(self) -> None:
        self._loaded = True
        before = self._count
        self._roll()
        if self._path is None:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):
            with open(self._path, encoding="utf-8") as file:
                raw = json.load(file)
            if raw["day"] == self._day:
                self._count = before + int(raw["count"])
                self._noted = int(raw["count"])

    def _note(self, count: int) -> None:
        self._noted, self._noted_at = count, time.monotonic()
        if self._path is None:
            return
        try:
            replace_file(self._path, json.dumps({"day": self._day, "count": count}))
        except OSError as error:
            log.debug("count of requests not written", **fields(error=str(error)))


def cost(action: Action) -> int:
    """Requests that ``action`` takes when all goes well, a look at what is there included."""
    return 2 if action.size <= SMALL_BODY else 4 + -(-action.size // SMALL_BODY)
