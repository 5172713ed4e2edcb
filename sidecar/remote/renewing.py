"""Keys that end, renewed beside the requests that they sign.

Part of the S3 adapter, used by ``credentials.py``. Renewing them asks a server by the SDK's own HTTP, which
blocks; so a thread does it, while what is still valid signs on. Only without valid keys does anybody
wait. When keys are due is the SDK's to say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, NamedTuple, TypeVar

from sidecar.errors import AccessDenied
from sidecar.remote.aside import begin, outcome

K = TypeVar("K")

MARGIN_SECONDS: Final = 30  # keys that end sooner sign nothing more
PAUSE_SECONDS: Final = 5.0  # between two tries while keys are valid; and the longest that a failure is kept
WAIT_SECONDS: Final = 30.0  # the longest that a request waits for keys


class Held(NamedTuple, Generic[K]):
    """Keys, and when they end: ``ends_within`` so many seconds, with None those in which to renew them."""

    keys: K
    ends_within: Callable[[int | None], bool]


class Renewing(Generic[K]):
    """A source of keys. Thread-safe.

    ``fetch`` gives those of this moment, renewed where they are due, and may block for long. ``clock``
    gives monotonic seconds.
    """

    def __init__(self, fetch: Callable[[], Held[K]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Held[K] | None = None
        self._under_way: Future[Held[K]] | None = None
        self._again_at = 0.0  # while keys are valid
        self._failed: tuple[float, AccessDenied] | None = None  # and until when that holds

    def __call__(self) -> K:
        """Keys that are valid.

        Raises:
            AccessDenied: there are none.
        """
        held = self._held
        if held is None or held.ends_within(MARGIN_SECONDS):
            return self._awaited()
        if held.ends_within(None) and self._clock() >= self._again_at:
            self._renewal()
        return held.keys

    def _awaited(self) -> K:
        if self._failed is not None and self._clock() < self._failed[0]:
            raise self._failed[1].with_traceback(None)  # which else grows with each raise
        try:
            return outcome(self._renewal(), WAIT_SECONDS).keys
        except TimeoutError as error:  # it goes on, and whoever asks before it ends waits for the same one
            silent = AccessDenied("credentials", "default chain", "whoever gives keys does not answer")
            self._remember(silent, WAIT_SECONDS)
            raise silent from error

    def _renewal(self) -> Future[Held[K]]:
        """The one that is under way, begun where there is none."""
        with self._lock:
            future = self._under_way
            if future is None:
                future = self._under_way = begin("renew keys", self._renew)
                future.add_done_callback(self._ended)
        return future

    def _ended(self, _: object) -> None:
        self._under_way = None

    def _renew(self) -> Held[K]:
        began = self._clock()
        try:
            held = self._fetch()
        except AccessDenied as error:
            self._remember(error, self._clock() - began)
            raise
        finally:
            self._again_at = self._clock() + PAUSE_SECONDS
        self._held, self._failed = held, None
        return held

    def _remember(self, error: AccessDenied, took: float) -> None:
        # As long as it took: what fails at once may be repeated at once.
        self._failed = (self._clock() + min(took, PAUSE_SECONDS), error)
