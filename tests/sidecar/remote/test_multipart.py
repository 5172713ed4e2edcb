"""Large uploads: the sizes of parts, what is repeated, and what is left behind."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ChangedWhileReading, PreconditionFailed, Quarantined, Transient
from sidecar.remote.multipart import SMALLEST_PART, cut, part_size
from sidecar.remote.retry import Retry, RetryPolicy
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import IfAbsent
from sidecar.tree import ObjectKey
from tests.fakes.faults import FaultServer, Reaction, Request, refusal, response

KEY = ObjectKey("dir/large")
BEGUN = response(200, b"<R><UploadId>up-1</UploadId></R>")
DONE = response(200, b'<CompleteMultipartUploadResult><ETag>"whole-2"</ETag></CompleteMultipartUploadResult>')


def kind(request: Request) -> str:
    """What a request of an upload is about; parts by their number."""
    part = re.search(r"partNumber=(\d+)", request.target)
    if part:
        return f"part {part[1]}"
    names = {"POST": "complete", "DELETE": "abort", "HEAD": "head"}
    return "begin" if request.target.endswith("?uploads=") else names[request.method]


def answer(request: Request) -> Reaction:
    what = kind(request)
    if what == "begin":
        return BEGUN
    return DONE if what == "complete" else response(404 if what == "head" else 200, ETag='"part"')


@given(st.lists(st.binary(max_size=9), max_size=20), st.integers(1, 7))
def test_cutting_keeps_every_byte_and_only_the_last_piece_is_short(chunks: list[bytes], size: int) -> None:
    pieces = list(cut(chunks, size))
    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= size or pieces == [b""]


@given(st.integers(0, 5 * 2**40))
def test_ten_thousand_parts_suffice_and_none_is_too_small(size: int) -> None:
    each = part_size(size)
    assert each >= SMALLEST_PART
    assert -(-size // each) <= 9000


def test_a_part_that_fails_is_sent_again_and_only_that_one() -> None:
    trouble = [refusal(500, "InternalError")]

    def react(request: Request) -> Reaction:
        return trouble.pop() if kind(request) == "part 2" and trouble else answer(request)

    retry = Retry(RetryPolicy(), sleep=lambda _: False, random=lambda: 0.5, clock=lambda: 0.0)
    with FaultServer(react) as server:
        store = S3Store(server.storage(), attempt=retry.call)
        etag = store.put_large(KEY, 1, [b"x" * SMALLEST_PART, b"y"], {}, None, lambda: None)
        store.close()
    assert etag == "whole-2"
    assert sorted(map(kind, server.requests)) == ["begin", "complete", "part 1", "part 2", "part 2"]


def test_a_part_that_keeps_failing_aborts_after_all_others_have_ended() -> None:
    def react(request: Request) -> Reaction:
        return refusal(500, "InternalError") if kind(request) == "part 1" else answer(request)

    with FaultServer(react) as server:
        store = S3Store(server.storage())
        with pytest.raises(Transient):
            store.put_large(KEY, 1, [b"x" * SMALLEST_PART] * 3, {}, None, lambda: None)
        store.close()
    assert kind(server.requests[-1]) == "abort"
    assert "complete" not in map(kind, server.requests)


def test_memory_holds_a_few_parts_however_many_there_are() -> None:
    """The source is asked for part N + 3 only when part N has been answered."""
    answered: set[str] = set()
    lock = threading.Lock()
    ahead: list[int] = []

    def react(request: Request) -> Reaction:
        with lock:
            answered.add(kind(request))
        return answer(request)

    def chunks() -> Iterator[bytes]:
        for number in range(1, 9):
            with lock:
                ahead.append(number - sum(what.startswith("part") for what in answered))
            yield b"x" * SMALLEST_PART

    with FaultServer(react) as server:
        store = S3Store(server.storage())
        store.put_large(KEY, 8 * SMALLEST_PART, chunks(), {}, None, lambda: None)
        store.close()
    assert max(ahead) <= 4


def test_a_condition_is_looked_at_before_completing_since_not_every_server_heeds_it_then() -> None:
    def react(request: Request) -> Reaction:
        if kind(request) == "head":
            return response(200, ETag='"theirs"', Last_Modified="Sun, 22 Nov 2026 12:00:00 GMT")
        return answer(request)

    with FaultServer(react) as server:
        store = S3Store(server.storage())
        with pytest.raises(PreconditionFailed):
            store.put_large(KEY, 1, [b"mine"], {}, IfAbsent(), lambda: None)
        store.close()
    assert [kind(request) for request in server.requests] == ["begin", "part 1", "head", "abort"]


def test_completing_carries_the_condition_too() -> None:
    with FaultServer(answer) as server:
        store = S3Store(server.storage())
        store.put_large(KEY, 1, [b"mine"], {}, IfAbsent(), lambda: None)
        store.close()
    assert server.requests[-1].headers["if-none-match"] == "*"


def test_completing_is_never_tried_again_since_its_first_answer_may_only_be_lost() -> None:
    def react(request: Request) -> Reaction:
        return refusal(500, "InternalError") if kind(request) == "complete" else answer(request)

    retry = Retry(RetryPolicy(), sleep=lambda _: False, random=lambda: 0.5, clock=lambda: 0.0)
    with FaultServer(react) as server:
        store = S3Store(server.storage(), attempt=retry.call)
        with pytest.raises(Transient):
            store.put_large(KEY, 1, [b"mine"], {}, None, lambda: None)
        store.close()
    assert [kind(request) for request in server.requests] == ["begin", "part 1", "complete", "abort"]


def test_a_refused_confirmation_sends_no_completion() -> None:
    def confirm() -> None:
        raise ChangedWhileReading("read", "large")

    with FaultServer(answer) as server:
        store = S3Store(server.storage())
        with pytest.raises(ChangedWhileReading):
            store.put_large(KEY, 1, [b"mine"], {}, None, confirm)
        store.close()
    assert [kind(request) for request in server.requests] == ["begin", "part 1", "abort"]


def test_no_checksum_trailers_are_sent() -> None:
    with FaultServer(answer) as server:
        store = S3Store(server.storage())
        store.put_large(KEY, 1, [b"mine"], {}, None, lambda: None)
        store.close()
    for request in server.requests:
        assert not [name for name in request.headers if name.startswith("x-amz-checksum") or name == "x-amz-trailer"]
        assert "aws-chunked" not in request.headers.get("content-encoding", "")


def test_what_no_object_can_hold_is_quarantined_before_anything_is_sent() -> None:
    with FaultServer(answer) as server:
        store = S3Store(server.storage())
        with pytest.raises(Quarantined):
            store.put_large(KEY, 6 * 2**40, [], {}, None, lambda: None)
        store.close()
    assert server.requests == []
