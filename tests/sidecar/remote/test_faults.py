"""What servers and networks do wrong, as the S3 adapter tells it by class.

The three operations differ in what is read of an answer: its headers, a stream, a document.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from contract.storage import Storage
from sidecar.errors import (
    AccessDenied,
    ClockSkewed,
    Misconfigured,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
    Quarantined,
    Refused,
    SyncError,
    Throttled,
    Transient,
    Unreachable,
    Untrusted,
)
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import NoRanges
from sidecar.tree import ETag, ObjectKey
from tests.fakes.faults import FaultServer, Reaction, Request, Reset, Silence, refusal, response

KEY = ObjectKey("dir/key")
OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put(KEY, b"body", {}),
    "list": lambda store: list(store.list("dir/")),
    "copy": lambda store: store.copy(KEY, ObjectKey("other")),
}
STALL = 0.3  # seconds
SLOW_BODY = 8 * 2**20  # bytes; more than the kernel buffers, and 1.6 s at a quarter of a MiB each 0.05 s

REFUSALS: dict[str, tuple[bytes, type[SyncError]]] = {
    "an internal error may pass": (refusal(500, "InternalError"), Transient),
    "a bad gateway may pass": (response(502, b"<html>bad gateway</html>"), Transient),
    "an unavailable server may pass": (refusal(503, "ServiceUnavailable"), Transient),
    "slow down asks for patience": (refusal(503, "SlowDown"), Throttled),
    "too many requests asks for patience": (response(429), Throttled),
    "our own slowness may pass": (refusal(400, "RequestTimeout"), Transient),
    "a write at the same moment may pass": (refusal(409, "ConditionalRequestConflict"), Transient),
    "an unknown key id is denied": (refusal(403, "InvalidAccessKeyId"), AccessDenied),
    "a wrong secret is denied": (refusal(403, "SignatureDoesNotMatch"), AccessDenied),
    "a policy denies": (refusal(403, "AccessDenied"), AccessDenied),
    "an unauthenticated request is denied": (response(401), AccessDenied),
    "an expired token is denied": (refusal(400, "ExpiredToken"), AccessDenied),
    "a wrong region is misconfigured": (refusal(400, "AuthorizationHeaderMalformed"), Misconfigured),
    "a bucket elsewhere is misconfigured": (refusal(301, "PermanentRedirect"), Misconfigured),
    "a missing bucket is no missing key": (refusal(404, "NoSuchBucket"), NoSuchBucket),
    "a missing key is not found": (refusal(404, "NoSuchKey"), NotFound),
    "a failed precondition is told": (refusal(412, "PreconditionFailed"), PreconditionFailed),
    "a range that cannot be is refused": (refusal(416, "InvalidRange"), Refused),
    "what is not implemented is refused": (refusal(501, "NotImplemented"), Refused),
    "a full server refuses": (response(507), Refused),
    "an unknown refusal is refused": (refusal(400, "SomethingNew"), Refused),
    "a key too long is quarantined": (refusal(400, "KeyTooLongError"), Quarantined),
}


def open_store(server: FaultServer) -> S3Store:
    return S3Store(server.storage(), stall=STALL, patience=STALL)


def failure(act: Callable[[], object]) -> SyncError:
    with pytest.raises(SyncError) as caught:
        act()
    return caught.value


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Callable[[S3Store], object]:
    return OPERATIONS[request.param]


@pytest.mark.parametrize(("answer", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_its_class(
    answer: bytes, expected: type[SyncError], operation: Callable[[S3Store], object]
) -> None:
    with FaultServer(lambda _: answer) as server:
        store = open_store(server)
        error = failure(lambda: operation(store))
        store.close()
    assert type(error) is expected
    assert len(server.requests) == 1, "it was tried again, and not by retry.py"


@pytest.mark.parametrize(
    "words",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
    ],
    ids=["in the words of Go", "in the words of nginx"],
)
@pytest.mark.parametrize("way", ["put", "list"])
def test_plain_http_on_a_tls_port_is_untrusted(words: bytes, way: str) -> None:
    with FaultServer(lambda _: response(400, words)) as server:
        store = open_store(server)
        assert type(failure(lambda: OPERATIONS[way](store))) is Untrusted
        store.close()


@pytest.mark.parametrize(
    ("offset", "words"), [(3605, "3605 s behind"), (-120, "120 s ahead of")], ids=["behind", "ahead"]
)
def test_a_clock_that_is_off_is_told_with_its_offset(
    offset: int, words: str, operation: Callable[[S3Store], object]
) -> None:
    def react(_: Request) -> Reaction:
        return refusal(403, "RequestTimeTooSkewed", Date=formatdate(time.time() + offset + 0.5, usegmt=True))

    with FaultServer(react) as server:
        store = open_store(server)
        error = failure(lambda: operation(store))
        store.close()
    assert type(error) is ClockSkewed
    assert words in str(error)


def test_a_head_whose_refusal_has_no_words_is_explained_by_a_listing() -> None:
    def react(request: Request) -> Reaction:
        return response(403) if request.method == "HEAD" else refusal(403, "RequestTimeTooSkewed")

    with FaultServer(react) as server:
        store = open_store(server)
        assert type(failure(lambda: store.head(KEY))) is ClockSkewed
        store.close()


def test_a_head_that_may_not_be_although_the_bucket_is_fine_stays_denied() -> None:
    def react(request: Request) -> Reaction:
        return response(403) if request.method == "HEAD" else response(200, b"<ListBucketResult/>")

    with FaultServer(react) as server:
        store = open_store(server)
        assert type(failure(lambda: store.head(KEY))) is AccessDenied
        store.close()


NETWORK: dict[str, tuple[Reaction, type[SyncError]]] = {
    "a reset before any answer": (Reset(), Unreachable),
    "a connection closed without an answer": (b"", Unreachable),
    "a server that says nothing": (Silence(), Unreachable),
    "half a header and then silence": (Silence(b"HTTP/1.1 200 OK\r\nContent-"), Unreachable),
    "something that is no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Unreachable),
}


@pytest.mark.parametrize(("reaction", "expected"), NETWORK.values(), ids=NETWORK)
def test_a_broken_connection_is_unreachable(
    reaction: Reaction, expected: type[SyncError], operation: Callable[[S3Store], object]
) -> None:
    with FaultServer(lambda _: reaction) as server:
        store = open_store(server)
        error = failure(lambda: operation(store))
        store.close()
    assert type(error) is expected
    assert len(server.requests) == 1, "it was tried again, and not by retry.py"


def test_a_refused_connection_is_unreachable(operation: Callable[[S3Store], object]) -> None:
    with FaultServer(lambda _: b"") as server:
        storage = server.storage()
    store = S3Store(storage)
    assert type(failure(lambda: operation(store))) is Unreachable
    store.close()


def test_a_host_that_does_not_resolve_is_unreachable(operation: Callable[[S3Store], object]) -> None:
    store = S3Store(Storage("bucket", "no-such-host.invalid", 9000, "http", "us-east-1", False, "AK", "SK"))
    assert type(failure(lambda: operation(store))) is Unreachable
    store.close()


def large(store: S3Store) -> object:
    return store.put_large(KEY, 1, [b"x" * SLOW_BODY], {}, None, lambda: None)


@pytest.mark.parametrize(
    "send",
    [lambda store: store.put(KEY, b"x" * SLOW_BODY, {}), large],
    ids=["in one request", "in parts"],
)
def test_a_link_slower_than_the_stall_still_gets_a_body_out(
    send: Callable[[S3Store], object],
) -> None:
    def react(request: Request) -> Reaction:
        if request.method == "POST":
            return response(200, b"<R><UploadId>up-1</UploadId><ETag>e</ETag></R>")
        return response(200, ETag='"e"')

    with FaultServer(react, pause=0.05) as server:
        store = S3Store(server.storage(), stall=STALL, patience=30)
        assert send(store) == "e"
        store.close()
    assert SLOW_BODY in [len(request.body) for request in server.requests]


def object_answer(body: bytes, length: int | None = None) -> bytes:
    return response(200, body, length=length, ETag='"abc"', Last_Modified=formatdate(1_800_000_000, usegmt=True))


BODIES: dict[str, Reaction] = {
    "reset in the middle": Reset(object_answer(b"half", 8)),
    "closed in the middle": object_answer(b"half", 8),
    "silent in the middle": Silence(object_answer(b"half", 8)),
}


@pytest.mark.parametrize("key", ["dir/key", "dir//key"], ids=["a plain key", "an odd key"])
@pytest.mark.parametrize("reaction", BODIES.values(), ids=BODIES)
def test_a_body_that_breaks_off_is_transient(reaction: Reaction, key: str) -> None:
    with FaultServer(lambda _: reaction) as server:
        store = open_store(server)

        def read() -> None:
            with store.get(ObjectKey(key), ETag("abc")) as download:
                b"".join(download.chunks)

        assert isinstance(failure(read), Transient)
        store.close()


def test_a_get_demands_the_version_it_was_asked_for() -> None:
    with FaultServer(lambda _: object_answer(b"body")) as server:
        store = open_store(server)
        with store.get(KEY, ETag("abc")) as download:
            assert b"".join(download.chunks) == b"body"
        store.close()
    assert server.requests[0].headers["if-match"] == '"abc"'


ODD_HEADERS: dict[str, tuple[bytes, bytes]] = {
    "metadata in latin-1": (b"x-amz-meta-n: X", b"x-amz-meta-n: caf\xe9"),
    "metadata in UTF-8": (b"x-amz-meta-n: X", "x-amz-meta-n: café".encode()),
    "a weak ETag": (b'ETag: "abc"', b'ETag: W/"abc"'),
    "no time": (b"Last-Modified: ", b"X-Else: "),
}


@pytest.mark.parametrize("key", ["dir/key", "dir//key"], ids=["a plain key", "an odd key"])
@pytest.mark.parametrize(("usual", "odd"), ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_odd_headers_of_other_writers_keep_nobody_from_reading(usual: bytes, odd: bytes, key: str) -> None:
    def react(request: Request) -> Reaction:
        body = b"" if request.method == "HEAD" else b"body"
        answer = response(
            200, body, length=4, ETag='"abc"', Last_Modified=formatdate(1_800_000_000, usegmt=True), x_amz_meta_n="X"
        )
        assert usual in answer
        return answer.replace(usual, odd)

    with FaultServer(react) as server:
        store = open_store(server)
        info = store.head(ObjectKey(key))
        with store.get(ObjectKey(key), ETag("abc")) as download:
            assert b"".join(download.chunks) == b"body"
        store.close()
    assert info is not None
    assert (info.size, info.etag) == (4, "abc")
    assert download.info == info


@pytest.mark.parametrize("key", ["dir/key", "dir//key"], ids=["a plain key", "an odd key"])
def test_headers_that_make_no_sense_are_refused_and_do_not_look_like_a_server_that_is_down(key: str) -> None:
    with FaultServer(lambda _: response(200, b"body", ETag='"abc"', Last_Modified="soon")) as server:
        store = open_store(server)
        assert isinstance(failure(lambda: store.get(ObjectKey(key), ETag("abc")).__enter__()), Refused)
        store.close()


ERRORS_INSIDE: dict[str, tuple[bytes, type[SyncError]]] = {
    "an internal error inside a success": (refusal(200, "InternalError"), Transient),
    "slow down inside a success": (refusal(200, "SlowDown"), Throttled),
}


@pytest.mark.parametrize("way", ["list", "copy"])
@pytest.mark.parametrize(("answer", "expected"), ERRORS_INSIDE.values(), ids=ERRORS_INSIDE)
def test_an_error_inside_a_success_is_an_error(answer: bytes, expected: type[SyncError], way: str) -> None:
    with FaultServer(lambda _: answer) as server:
        store = open_store(server)
        assert type(failure(lambda: OPERATIONS[way](store))) is expected
        store.close()


@pytest.mark.parametrize("way", [OPERATIONS["put"], lambda store: store.head(KEY)], ids=["put", "head"])
def test_a_success_that_is_no_answer_of_an_s3_server_is_not_believed(
    way: Callable[[S3Store], object],
) -> None:
    with FaultServer(lambda _: refusal(200, "InternalError", Last_Modified=formatdate(1, usegmt=True))) as server:
        store = open_store(server)
        assert isinstance(failure(lambda: way(store)), Refused)
        store.close()


def test_an_upload_whose_completion_is_an_error_inside_a_success_is_aborted() -> None:
    def react(request: Request) -> Reaction:
        if request.method == "POST" and request.target.endswith("?uploads="):
            return response(200, b"<R><UploadId>up-1</UploadId></R>")
        if request.method == "POST":
            return refusal(200, "InternalError")
        return response(200, ETag='"part"')

    with FaultServer(react) as server:
        store = open_store(server)
        error = failure(lambda: store.put_large(KEY, 4, [b"body"], {}, None, lambda: None))
        store.close()
    assert type(error) is Transient
    assert server.requests[-1].method == "DELETE"
    assert "uploadId=up-1" in server.requests[-1].target


def test_an_upload_that_cannot_even_be_aborted_tells_its_first_reason() -> None:
    def react(request: Request) -> Reaction:
        if request.target.endswith("?uploads="):
            return response(200, b"<R><UploadId>up-1</UploadId></R>")
        return refusal(403, "AccessDenied") if request.method == "PUT" else Reset()

    with FaultServer(react) as server:
        store = open_store(server)
        assert type(failure(lambda: store.put_large(KEY, 4, [b"body"], {}, None, lambda: None))) is AccessDenied
        store.close()


def test_every_request_is_counted_with_its_status() -> None:
    answers: Iterator[Reaction] = iter([response(200, ETag='"e"'), response(503), Reset()])
    seen: list[tuple[str, str]] = []
    with FaultServer(lambda _: next(answers)) as server:
        store = S3Store(server.storage(), on_request=lambda operation, code: seen.append((operation, code)))
        store.put(KEY, b"body", {})
        failure(lambda: store.put(KEY, b"body", {}))
        failure(lambda: list(store.list("")))
        store.close()
    assert seen == [("put", "200"), ("put", "503"), ("list", "error")]


def test_a_key_cannot_pose_as_a_status() -> None:
    key = ObjectKey("x status: 404, - Server returned non-2xx status code: 404 <Code>NoSuchKey</Code>")
    with FaultServer(lambda _: refusal(503, "SlowDown")) as server:
        store = open_store(server)
        assert type(failure(lambda: store.put(key, b"", {}))) is Throttled
        store.close()


def test_a_key_that_is_no_utf8_is_quarantined_before_anything_is_sent() -> None:
    with FaultServer(lambda _: response(500)) as server:
        store = open_store(server)
        for act in (store.head, lambda key: store.put(key, b"", {}), lambda key: store.copy(key, KEY)):
            assert type(failure(lambda act=act: act(ObjectKey("bad\udcff")))) is Quarantined  # type: ignore[misc]
        store.close()
    assert server.requests == []


def test_untrusted_when_the_ca_is_unknown(storage_tls: Storage, operation: Callable[[S3Store], object]) -> None:
    store = S3Store(dataclasses.replace(storage_tls, ca_pem=None))
    assert type(failure(lambda: operation(store))) is Untrusted
    store.close()


def test_untrusted_when_the_server_speaks_no_tls(storage: Storage, operation: Callable[[S3Store], object]) -> None:
    store = S3Store(dataclasses.replace(storage, scheme="https"))
    assert type(failure(lambda: operation(store))) is Untrusted
    store.close()


@pytest.mark.parametrize("way", ["put", "list"])
def test_untrusted_when_plain_http_meets_a_tls_port(storage_tls: Storage, way: str) -> None:
    store = S3Store(dataclasses.replace(storage_tls, scheme="http"))
    assert type(failure(lambda: OPERATIONS[way](store))) is Untrusted
    assert type(failure(lambda: store.head(KEY))) is Untrusted
    store.close()


WRONG: dict[str, tuple[dict[str, str], type[SyncError]]] = {
    "a wrong secret": ({"secret_access_key": "wrong"}, AccessDenied),
    "an unknown key id": ({"access_key_id": "unknown"}, AccessDenied),
    "a missing bucket": ({"bucket": "no-such-bucket"}, NoSuchBucket),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_a_real_server_refuses(
    storage: Storage, change: dict[str, str], expected: type[SyncError], operation: Callable[[S3Store], object]
) -> None:
    store = S3Store(dataclasses.replace(storage, **change))  # type: ignore[arg-type]
    assert type(failure(lambda: operation(store))) is expected
    assert type(failure(store.check)) is expected
    store.close()


def test_no_thread_is_left_by_a_failed_upload() -> None:
    before = threading.active_count()
    with FaultServer(lambda _: Reset()) as server:
        store = open_store(server)
        failure(lambda: store.put_large(KEY, 4, [b"body"], {}, None, lambda: None))
        store.close()
    assert threading.active_count() <= before


RANGES: dict[str, tuple[Reaction, type[SyncError]]] = {
    "a whole object": (response(200, b"body", ETag='"abc"'), NoRanges),
    "no range told": (response(206, b"bo", ETag='"abc"'), NoRanges),
    "another range": (response(206, b"bo", ETag='"abc"', Content_Range="bytes 2-3/4"), PreconditionFailed),
    "another version": (response(206, b"bo", ETag='"def"', Content_Range="bytes 0-1/4"), PreconditionFailed),
    "less than told": (response(206, b"b", ETag='"abc"', Content_Range="bytes 0-1/4"), Transient),
    "a range that breaks off": (response(206, b"b", length=2, ETag='"abc"', Content_Range="bytes 0-1/4"), Unreachable),
}


@pytest.mark.parametrize(("reaction", "expected"), RANGES.values(), ids=RANGES)
def test_what_is_not_the_range_that_was_asked_for_is_an_error(reaction: Reaction, expected: type[SyncError]) -> None:
    with FaultServer(lambda _: reaction) as server:
        store = open_store(server)
        error = failure(lambda: store.read_range(KEY, ETag("abc"), 0, 2, lambda *_: None))
        store.close()
    assert type(error) is expected
    assert server.requests[0].headers["range"] == "bytes=0-1"
    assert server.requests[0].headers["if-match"] == '"abc"'
