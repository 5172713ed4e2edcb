"""Pages are whole or an error, never short; a broken page is fetched again, the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import Throttled, Transient
from sidecar.remote.failures import clock_skew
from sidecar.remote.listing import InvalidListing, parse_page
from sidecar.remote.retry import Retry, RetryPolicy
from sidecar.remote.s3 import S3Store
from tests.fakes.faults import FaultServer, Reaction, Request, Reset, Silence, refusal, response

T = TypeVar("T")


def contents(key: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T12:00:00.250Z</LastModified>"
        "<ETag>&quot;e&amp;1&quot;</ETag><Size>7</Size><Owner><ID>Key</ID></Owner></Contents>"
    )


def document(*keys: str, token: str = "", encoded: bool = False, truncated: bool | None = None) -> bytes:
    more = bool(token) if truncated is None else truncated
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
        + ("<EncodingType>url</EncodingType>" if encoded else "")
        + f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        + (f"<NextContinuationToken>{token}</NextContinuationToken>" if token else "")
        + "".join(contents(key) for key in keys)
        + "</ListBucketResult>"
    ).encode()


def test_an_entry_is_read_with_all_that_is_known_of_it() -> None:
    page = parse_page(iter([document("a%2Fb+c%2B%0A", encoded=True)]))
    (entry,) = page.entries.each()
    assert (entry.key, entry.size, entry.etag, entry.modified) == ("a/b c+\n", 7, "e&1", 1795348800.25)
    assert page.next_token is None


def test_a_key_is_decoded_only_where_the_server_says_that_it_is_encoded() -> None:
    (entry,) = parse_page(iter([document("100%25+x")])).entries.each()
    assert entry.key == "100%25+x"


def test_bytes_that_are_no_utf8_become_surrogates() -> None:
    (entry,) = parse_page(iter([document("a%FF", encoded=True)])).entries.each()
    assert entry.key == "a\udcff"


def test_a_namespace_prefix_makes_no_difference() -> None:
    text = document("a").replace(b"<", b"<s3:").replace(b"<s3:/", b"</s3:").replace(b"<s3:?", b"<?")
    text = text.replace(b"xmlns=", b"xmlns:s3=")
    assert parse_page(iter([text])).entries.keys == ["a"]


@given(st.integers(0, len(document("a", "b", token="t")) - 1))
def test_a_page_cut_short_anywhere_is_never_a_page(length: int) -> None:
    with pytest.raises(InvalidListing):
        parse_page(iter([document("a", "b", token="t")[:length]]))


@given(st.lists(st.integers(1, 40), max_size=60))
def test_a_page_is_the_same_however_its_bytes_arrive(sizes: list[int]) -> None:
    text = document("a", "b", token="t")
    expected = parse_page(iter([text]))

    def pieces() -> Iterator[bytes]:
        rest = text
        for size in sizes:
            yield rest[:size]
            rest = rest[size:]
        yield rest

    assert parse_page(pieces()) == expected


INVALID = {
    "nothing at all": b"",
    "a page of HTML": b"<html><body>proxy error</body></html>",
    "more without a way to it": document("a", truncated=True),
    "an entry without its size": document("a").replace(b"<Size>7</Size>", b""),
    "a size that is no number": document("a").replace(b">7<", b">seven<"),
    "a time that is none": document("a").replace(b"2026-11-22T", b"yesterday"),
    "an entry without its key": document("a").replace(b"<Key>a</Key>", b""),
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_what_is_no_complete_page_is_transient(text: bytes) -> None:
    with FaultServer(lambda _: response(200, text)) as server:
        store = S3Store(server.storage())
        with pytest.raises(Transient):
            list(store.list(""))
        store.close()


def test_a_server_that_leads_in_a_circle_is_left() -> None:
    with FaultServer(lambda _: response(200, document("a", token="same"))) as server:
        store = S3Store(server.storage())
        with pytest.raises(Transient, match="same page"):
            list(store.list(""))
        store.close()
    assert len(server.requests) == 2


def test_a_date_that_is_none_tells_no_skew() -> None:
    assert [clock_skew(date, 0.0) for date in (None, "", "soon")] == [None, None, None]


PAGES = {None: document("a", "b", token="2"), "2": document("c", token="3"), "3": document("d")}


def asked(request: Request) -> str | None:
    values = parse_qs(urlsplit(request.target).query).get("continuation-token")
    return values[0] if values else None


BROKEN: dict[str, Reaction] = {
    "a reset in the page": Reset(response(200, PAGES["2"], length=len(PAGES["2"]))[:-40]),
    "a page cut short": response(200, PAGES["2"][:-40]),
    "a page shorter than announced": response(200, PAGES["2"][:-40], length=len(PAGES["2"])),
    "silence in the page": Silence(response(200, PAGES["2"])[:-40]),
    "an internal error": refusal(500, "InternalError"),
    "an error inside a success": refusal(200, "InternalError"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_page_that_breaks_is_fetched_again_and_no_key_is_lost_or_doubled(broken: Reaction) -> None:
    trouble = [broken]

    def react(request: Request) -> Reaction:
        token = asked(request)
        return trouble.pop() if token == "2" and trouble else response(200, PAGES[token])

    retry = Retry(RetryPolicy(), sleep=lambda _: False, random=lambda: 0.5, clock=lambda: 0.0)
    with FaultServer(react) as server:
        store = S3Store(server.storage(), attempt=retry.call, stall=0.3)
        assert [entry.key for entry in store.list("")] == ["a", "b", "c", "d"]
        store.close()
    assert [asked(request) for request in server.requests] == [None, "2", "2", "3"]


def test_a_listing_that_stays_broken_raises_after_the_pages_before() -> None:
    def react(request: Request) -> Reaction:
        return response(200, PAGES[None]) if asked(request) is None else refusal(503, "SlowDown")

    retry = Retry(RetryPolicy(attempts=3), sleep=lambda _: False, random=lambda: 0.5, clock=lambda: 0.0)
    with FaultServer(react) as server:
        store = S3Store(server.storage(), attempt=retry.call)
        entries = store.list("")
        assert [next(entries).key, next(entries).key] == ["a", "b"]
        with pytest.raises(Throttled):
            next(entries)
        store.close()
    assert len(server.requests) == 4


def test_pages_are_fetched_only_when_they_are_wanted() -> None:
    with FaultServer(lambda request: response(200, PAGES[asked(request)])) as server:
        store = S3Store(server.storage())
        entries = store.list("")
        assert server.requests == []
        next(entries)
        assert len(server.requests) == 1
        store.close()


def test_an_attempt_sees_each_page_by_its_operation() -> None:
    seen: list[str] = []

    def attempt(operation: str, request: Callable[[], T], /) -> T:
        seen.append(operation)
        return request()

    with FaultServer(lambda request: response(200, PAGES[asked(request)])) as server:
        store = S3Store(server.storage(), attempt=attempt)
        list(store.list(""))
        store.close()
    assert seen == ["list"] * 3
