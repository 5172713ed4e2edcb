"""Trying again: the one place that does it, and that knows when to stop.

:class:`Retry` repeats single requests: exponential backoff with full jitter, for errors that may pass
and no others. What a whole cycle may spend is bounded as well, so that ten thousand files and a
server that is down cost a handful of requests, not forty thousand. :class:`RetryingStore` puts it
around any ObjectStore; the S3 adapter gets :meth:`Retry.call` besides, for pages and parts
(see ``attempt.py``).

It never repeats what reads a stream: a body that breaks off is the caller's to start over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple, TypeVar

from sidecar.errors import SyncError, Throttled, Transient, Unreachable
from sidecar.remote.store import PLAIN, Condition, Download, ObjectInfo, ObjectOptions, ObjectStore
from sidecar.tree import Entries, ETag, ObjectKey, RemoteEntry

T = TypeVar("T")


class RetryPolicy(NamedTuple):
    """How patient to be. Seconds and counts; the defaults suit a cycle of 15 s on a bad link."""

    attempts: int = 4  # for one request, the first included
    base: float = 0.2  # the longest first wait; doubles with each attempt
    cap: float = 5.0  # the longest wait of all
    throttled_base: float = 1.0  # likewise, where the server asks for patience
    throttled_cap: float = 20.0
    patience: float = 60.0  # after so long no request is begun again, however few attempts it had
    retries_per_cycle: int = 200  # all requests of a cycle together, first attempts not counted
    # So many requests given up with no success between, and the server counts as down: without an
    # answer soon; with errors for answers later, since a few bad objects must not hold up the others.
    unreachable_in_row: int = 3
    failures_in_row: int = 20


def _allow(_operation: str) -> None:
    pass


class Retry:
    """Repeats requests by ``policy``. Thread-safe; one for all that talk to one server.

    ``sleep`` waits so many seconds and returns True where it was interrupted because we are to
    stop (:meth:`runtime.shutdown.Shutdown.wait`); ``random`` gives numbers from 0 up to 1, ``clock``
    monotonic seconds. ``allow`` is asked with the operation before each request, and may refuse by raising.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        sleep: Callable[[float], bool],
        random: Callable[[], float],
        clock: Callable[[], float],
        allow: Callable[[str], None] = _allow,
    ) -> None:
        self._allow = allow
        self._policy = policy
        self._sleep = sleep
        self._random = random
        self._clock = clock
        self._lock = threading.Lock()
        self._retries_left = policy.retries_per_cycle
        self._unreachable = 0  # requests given up since the last answer
        self._failures = 0  # since the last success or refusal
        self._last: Transient | None = None

    def new_cycle(self) -> None:
        """Forget what the last cycle spent, and give a server that was down another chance."""
        with self._lock:
            self._retries_left = self._policy.retries_per_cycle
            self._unreachable = self._failures = 0
            self._last = None

    def call(self, operation: str, request: Callable[[], T], /) -> T:
        """What ``request`` returns, trying again while that may help.

        Raises:
            SyncError: what it raised last; a Transient at once where the server counts as down.
        """
        self._refuse_if_down(operation)
        start = self._clock()
        attempt = 1
        while True:
            self._allow(operation)
            try:
                result = request()
            except Transient as error:
                if not self._again(error, attempt, start):
                    self._give_up(error)
                    raise
            except SyncError:
                self._succeeded()  # a refusal is an answer: the server is there
                raise
            else:
                self._succeeded()
                return result
            attempt += 1

    def _again(self, error: Transient, attempt: int, start: float) -> bool:
        """Wait for the next attempt; False where there is to be none."""
        if attempt >= self._policy.attempts or self._is_down():
            return False
        wait = self._wait(error, attempt)
        if self._clock() + wait - start > self._policy.patience:
            return False
        with self._lock:
            if self._retries_left <= 0:
                return False
            self._retries_left -= 1
        return not self._sleep(wait) and not self._is_down()  # others may have found that out meanwhile

    def _wait(self, error: Transient, attempt: int) -> float:
        policy, doubled = self._policy, 2 ** (attempt - 1)
        if isinstance(error, Throttled):
            longest: float = min(policy.throttled_cap, policy.throttled_base * doubled)
            return longest * (1 + self._random()) / 2  # at least half: a server that asks for time gets some
        return float(min(policy.cap, policy.base * doubled) * self._random())

    def _is_down(self) -> bool:
        policy = self._policy
        with self._lock:
            return self._unreachable >= policy.unreachable_in_row or self._failures >= policy.failures_in_row

    def _refuse_if_down(self, operation: str) -> None:
        last = self._last
        if last is None or not self._is_down():
            return
        raise type(last)(operation, last.subject, f"not tried again in this cycle: {last.detail}")

    def _succeeded(self) -> None:
        if not self._failures:
            return
        with self._lock:
            self._unreachable = self._failures = 0

    def _give_up(self, error: Transient) -> None:
        with self._lock:
            self._unreachable = self._unreachable + 1 if isinstance(error, Unreachable) else 0
            self._failures += 1
            self._last = error


class RetryingStore:
    """An ObjectStore whose single requests are tried again.

    Two things to know of it: a ``put`` with a condition may answer :class:`PreconditionFailed` because
    an earlier attempt of its own got through and only its answer was lost: look by ``head`` whether the
    object there is one's own. And ``list``, ``pages``, ``put_large`` and ``copy_large`` pass through as they
    are: the store inside repeats their pages and parts by :meth:`Retry.call`.
    """

    def __init__(self, store: ObjectStore, retry: Retry) -> None:
        self._store = store
        self._retry = retry

    def new_cycle(self) -> None:
        """See :meth:`Retry.new_cycle`."""
        self._retry.new_cycle()

    def list(self, prefix: str) -> Iterator[RemoteEntry]:
        """Passes through."""
        return self._store.list(prefix)

    def pages(self, prefix: str) -> Iterator[Entries]:
        """Passes through."""
        return self._store.pages(prefix)

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        """Tried again."""
        return self._retry.call("head", lambda: self._store.head(key))

    def put(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None = None,
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """Tried again."""
        return self._retry.call("put", lambda: self._store.put(key, body, metadata, condition, options))

    def put_large(
        self,
        key: ObjectKey,
        size: int,
        chunks: Iterable[bytes],
        metadata: dict[str, str],
        condition: Condition | None,
        confirm: Callable[[], None],
        options: ObjectOptions = PLAIN,
    ) -> ETag:
        """Passes through: what was read from ``chunks`` cannot be read again."""
        return self._store.put_large(key, size, chunks, metadata, condition, confirm, options)

    def end_abandoned(self, prefix: str, before: float) -> None:
        """Passes through."""
        self._store.end_abandoned(prefix, before)

    def get(self, key: ObjectKey, etag: ETag) -> AbstractContextManager[Download]:
        """Opening is tried again, reading is not."""
        return self._get(key, etag)

    def read_range(
        self, key: ObjectKey, etag: ETag, start: int, size: int, write: Callable[[int, memoryview], None]
    ) -> ObjectInfo:
        """Tried again, from the start of the range."""
        return self._retry.call("get", lambda: self._store.read_range(key, etag, start, size, write))

    def copy(self, source: ObjectKey, target: ObjectKey, etag: ETag | None = None) -> None:
        """Tried again."""
        self._retry.call("copy", lambda: self._store.copy(source, target, etag))

    def copy_large(self, source: ObjectKey, target: ObjectKey, etag: ETag, beat: Callable[[], None]) -> None:
        """Passes through."""
        self._store.copy_large(source, target, etag, beat)

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """Tried again."""
        self._retry.call("delete", lambda: self._store.delete(key, etag))

    def check(self) -> None:
        """Tried again."""
        self._retry.call("check", self._store.check)

    @contextmanager
    def _get(self, key: ObjectKey, etag: ETag) -> Iterator[Download]:
        with ExitStack() as stack:
            yield self._retry.call("get", lambda: stack.enter_context(self._store.get(key, etag)))
