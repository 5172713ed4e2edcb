"""Trying again: what, how long apart, and when it stops. Time is given, nothing sleeps."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.errors import (
    AccessDenied,
    NotFound,
    PreconditionFailed,
    Quarantined,
    SyncError,
    Throttled,
    Transient,
    Unreachable,
)
from sidecar.remote.retry import Retry, RetryingStore, RetryPolicy
from sidecar.remote.store import IfAbsent, ObjectInfo, ObjectOptions
from sidecar.tree import ETag, ObjectKey
from tests.fakes.store import FakeStore

KEY = ObjectKey("key")


class Time:
    """A clock that only sleeping moves; ``stop_after`` sleeps the next one is interrupted."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._stop_after = stop_after

    def sleep(self, seconds: float) -> bool:
        if self._stop_after is not None and len(self.slept) >= self._stop_after:
            return True
        self.slept.append(round(seconds, 6))
        self.now += seconds
        return False


def retry(time: Time, random: float = 1.0, **policy: float) -> Retry:
    return Retry(RetryPolicy(**policy), time.sleep, lambda: random, lambda: time.now)  # type: ignore[arg-type]


def failing(*errors: SyncError | None) -> tuple[Callable[[], str], list[int]]:
    """A request that fails so, one after the other, the last one for ever; None is a success."""
    left: Iterator[SyncError | None] = itertools.chain(errors, itertools.repeat(errors[-1]))
    calls: list[int] = []

    def request() -> str:
        calls.append(1)
        error = next(left)
        if error is not None:
            raise error
        return "done"

    return request, calls


def test_a_request_that_fails_for_a_moment_succeeds() -> None:
    request, calls = failing(Transient("put", "key"), Unreachable("put", "key"), None)
    assert retry(Time()).call("put", request) == "done"
    assert len(calls) == 3


def test_waits_double_up_to_a_cap() -> None:
    time = Time()
    request, _ = failing(Transient("put", "key"))
    with pytest.raises(Transient):
        retry(time, attempts=6, base=1, cap=5).call("put", request)
    assert time.slept == [1, 2, 4, 5, 5]


def test_jitter_spreads_waits_from_nothing_to_the_longest() -> None:
    time = Time()
    request, _ = failing(Transient("put", "key"))
    with pytest.raises(Transient):
        retry(time, random=0.0, attempts=3).call("put", request)
    assert time.slept == [0, 0]


def test_a_server_that_asks_for_patience_gets_at_least_half_of_a_longer_wait() -> None:
    time = Time()
    request, _ = failing(Throttled("put", "key"))
    with pytest.raises(Throttled):
        retry(time, random=0.0, attempts=4, throttled_base=2, throttled_cap=6).call("put", request)
    assert time.slept == [1, 2, 3]


def test_the_last_error_is_the_one_raised_after_all_attempts() -> None:
    last = Throttled("put", "key")
    request, calls = failing(Transient("put", "key"), Unreachable("put", "key"), last)
    with pytest.raises(Throttled) as caught:
        retry(Time(), attempts=3).call("put", request)
    assert caught.value is last
    assert len(calls) == 3


@pytest.mark.parametrize("kind", [NotFound, PreconditionFailed, AccessDenied, Quarantined])
def test_what_will_not_pass_is_not_tried_again(kind: type[SyncError]) -> None:
    request, calls = failing(kind("put", "key"))
    with pytest.raises(kind):
        retry(Time()).call("put", request)
    assert len(calls) == 1


def test_a_stop_interrupts_the_wait_and_ends_the_attempts() -> None:
    request, calls = failing(Transient("put", "key"))
    with pytest.raises(Transient):
        retry(Time(stop_after=1)).call("put", request)
    assert len(calls) == 2


def test_no_attempt_begins_after_the_patience_has_run_out() -> None:
    time = Time()
    request, calls = failing(Transient("put", "key"))
    with pytest.raises(Transient):
        retry(time, attempts=100, base=4, cap=4, patience=10).call("put", request)
    assert len(calls) == 3
    assert time.now <= 10


def test_a_server_that_is_down_costs_a_bounded_number_of_attempts_a_cycle() -> None:
    one = retry(Time(), attempts=4, unreachable_in_row=3)
    request, calls = failing(Unreachable("put", "key", "refused"))
    for _ in range(10_000):
        with pytest.raises(Unreachable):
            one.call("put", request)
    assert len(calls) == 12


def test_a_request_that_waits_for_its_next_attempt_ends_when_others_find_the_server_down() -> None:
    request, calls = failing(Unreachable("put", "mine", "no name"))
    other, _ = failing(Unreachable("put", "other"))

    def sleep(_seconds: float) -> bool:
        with pytest.raises(Unreachable):
            one.call("put", other)
        return False

    one = Retry(RetryPolicy(attempts=2, unreachable_in_row=1, retries_per_cycle=1), sleep, lambda: 1.0, lambda: 0.0)
    with pytest.raises(Unreachable, match="put mine: no name"):
        one.call("put", request)
    assert len(calls) == 1


def test_a_server_that_answers_with_errors_only_costs_a_bounded_number_too() -> None:
    one = retry(Time(), attempts=4, unreachable_in_row=3, failures_in_row=20)
    request, calls = failing(Transient("put", "key", "500"))
    for _ in range(10_000):
        with pytest.raises(Transient):
            one.call("put", request)
    assert len(calls) == 80


def test_a_few_bad_objects_do_not_hold_up_the_others() -> None:
    one = retry(Time())
    for _ in range(19):
        with pytest.raises(Transient):
            one.call("get", failing(Transient("get", "bad", "500"))[0])
    assert one.call("get", failing(None)[0]) == "done"


def test_the_refusal_without_an_attempt_says_so_and_keeps_the_reason() -> None:
    one = retry(Time(), attempts=1, unreachable_in_row=1)
    request, _ = failing(Unreachable("list", "bucket", "connection refused"))
    with pytest.raises(Unreachable):
        one.call("list", request)
    with pytest.raises(Unreachable, match="head bucket: not tried again in this cycle: connection refused"):
        one.call("head", request)


def test_a_new_cycle_gives_the_server_another_chance() -> None:
    one = retry(Time(), attempts=1, unreachable_in_row=1)
    request, calls = failing(Unreachable("put", "key"), None)
    with pytest.raises(Unreachable):
        one.call("put", request)
    one.new_cycle()
    assert one.call("put", request) == "done"
    assert len(calls) == 2


@pytest.mark.parametrize("between", [None, NotFound("get", "key")], ids=["a success", "a refusal"])
def test_an_answer_between_failures_shows_that_the_server_is_there(between: SyncError | None) -> None:
    one = retry(Time(), attempts=1, failures_in_row=2)
    request, calls = failing(Transient("a", "b"), between, Transient("a", "b"), between, Transient("a", "b"), None)
    for _ in range(6):
        try:
            one.call("put", request)
        except SyncError:
            continue
    assert len(calls) == 6


def test_a_server_that_fails_now_and_then_uses_up_the_retries_of_a_cycle() -> None:
    one = retry(Time(), attempts=2, retries_per_cycle=5)
    error = Transient("put", "key")
    for _ in range(5):
        assert one.call("put", failing(error, None)[0]) == "done"
    with pytest.raises(Transient):
        one.call("put", failing(error, None)[0])
    one.new_cycle()
    assert one.call("put", failing(error, None)[0]) == "done"


def test_threads_share_one_bound() -> None:
    one = retry(Time(), attempts=4, unreachable_in_row=3)
    request, calls = failing(Unreachable("put", "key"))
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(200):
            with pytest.raises(Unreachable):
                one.call("put", request)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert len(calls) <= (3 + 8) * 4


def flaky(errors: int) -> tuple[FakeStore, RetryingStore]:
    """A store whose next so many requests fail, and the wrapper around it."""
    store = FakeStore()
    left = [Transient("any", "key")] * errors

    def before(_operation: str, _key: str) -> None:
        if left:
            raise left.pop()

    store.before = before
    return store, RetryingStore(store, retry(Time()))


CALLS: dict[str, Callable[[RetryingStore], object]] = {
    "put": lambda store: store.put(KEY, b"new", {}),
    "head": lambda store: store.head(KEY),
    "copy": lambda store: store.copy(ObjectKey("old"), KEY),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_single_request_of_a_store_is_tried_again(name: str) -> None:
    store, wrapped = flaky(0)
    store.put(ObjectKey("old"), b"old", {})
    store.requests.clear()
    left = [Transient("any", "key")] * 2
    store.before = lambda _operation, _key: _raise(left)
    CALLS[name](wrapped)
    assert [operation for operation, _ in store.requests] == [name] * 3


def _raise(left: list[Transient]) -> None:
    if left:
        raise left.pop()


def test_opening_a_body_is_tried_again_and_reading_it_is_not() -> None:
    store, wrapped = flaky(0)
    etag = store.put(KEY, b"x" * 200_000, {})
    left = [Transient("any", "key")] * 2
    store.before = lambda _operation, _key: _raise(left)
    store.requests.clear()
    with wrapped.get(KEY, etag) as download:
        assert len(b"".join(download.chunks)) == 200_000
    assert len(store.requests) == 3
    store.cut_body = 100_000
    with wrapped.get(KEY, etag) as download, pytest.raises(Transient):
        b"".join(download.chunks)
    assert len(store.requests) == 4


def test_an_error_of_the_reader_passes_through_an_open_body() -> None:
    store, wrapped = flaky(0)
    etag = store.put(KEY, b"body", {})
    store.requests.clear()
    with pytest.raises(Transient, match="mine"), wrapped.get(KEY, etag):
        raise Transient("mine", "key")
    assert len(store.requests) == 1


def test_a_conditional_put_whose_first_answer_was_lost_is_refused_and_head_shows_that_it_is_ours() -> None:
    store = FakeStore()
    wrapped = RetryingStore(_LosesTheFirstAnswer(store), retry(Time()))  # type: ignore[arg-type]
    with pytest.raises(PreconditionFailed):
        wrapped.put(KEY, b"mine", {"data-sync-writer": "me"}, IfAbsent())
    info = wrapped.head(KEY)
    assert info is not None
    assert info.metadata == {"data-sync-writer": "me"}


class _LosesTheFirstAnswer:
    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._lost = False

    def put(
        self, key: ObjectKey, body: bytes, metadata: dict[str, str], condition: IfAbsent, options: ObjectOptions
    ) -> ETag:
        etag = self._store.put(key, body, metadata, condition, options)
        if not self._lost:
            self._lost = True
            raise Unreachable("put", key, "the answer was lost")
        return etag

    def head(self, key: ObjectKey) -> ObjectInfo | None:
        return self._store.head(key)


def test_listings_and_large_uploads_pass_through_once() -> None:
    for act in (
        lambda store: list(store.list("")),
        lambda store: store.put_large(KEY, 1, [b"x"], {}, None, lambda: None),
    ):
        store, wrapped = flaky(1)
        with pytest.raises(Transient):
            act(wrapped)
        assert len(store.requests) == 1


def test_a_new_cycle_of_the_store_is_one_of_its_retries() -> None:
    store = FakeStore()
    wrapped = RetryingStore(store, retry(Time(), attempts=1, unreachable_in_row=1))
    store.before = lambda _operation, _key: _raise([Unreachable("any", "key")])
    with pytest.raises(Unreachable):
        wrapped.check()
    store.before = lambda _operation, _key: None
    with pytest.raises(Unreachable, match="not tried again"):
        wrapped.check()
    wrapped.new_cycle()
    wrapped.check()
