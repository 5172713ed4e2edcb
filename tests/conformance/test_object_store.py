"""The promises of ``sidecar/remote/store.py``, kept by every ObjectStore."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.errors import ChangedWhileReading, NotFound, PreconditionFailed
from sidecar.remote.store import (
    META_MTIME,
    META_SHA256,
    META_WRITER,
    SMALL_BODY,
    IfAbsent,
    IfMatch,
    ObjectOptions,
    ObjectStore,
)
from sidecar.tree import ETag, ObjectKey
from tests.fakes.parts import BytesParts

METADATA = {META_SHA256: "ab" * 32, META_MTIME: "1795392000.123456789", META_WRITER: "device-1%2Fx"}
NAMES = (
    "plain.txt",
    "with space",
    "plus+sign",
    "percent%20literal",
    "ünïcødé-日本",
    "a#b?c&d=e",
    "quotes\"and'more",
    "[brackets]{}|~^",
    "..dots..in..name..",
    "deep/er/and/deep.er",
)


def read(store: ObjectStore, key: str, etag: ETag) -> bytes:
    with store.get(ObjectKey(key), etag) as download:
        return b"".join(download.chunks)


def put(store: ObjectStore, key: str, body: bytes = b"body") -> ETag:
    return store.put(ObjectKey(key), body, {})


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(entry.key for entry in store.list(prefix))


def put_large(store: ObjectStore, key: str, chunks: Iterable[bytes], size: int = 1, **options: object) -> ETag:
    arguments = {"metadata": {}, "condition": None, "confirm": lambda: None} | options
    return store.put_large(ObjectKey(key), size, chunks, **arguments)  # type: ignore[arg-type]


def test_what_was_put_is_got_back_byte_for_byte(store: ObjectStore) -> None:
    body = os.urandom(3 * 2**20 + 17)
    assert read(store, "data/file", put(store, "data/file", body)) == body


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    etag = put(store, "empty", b"")
    assert read(store, "empty", etag) == b""
    assert [(entry.key, entry.size) for entry in store.list("")] == [("empty", 0)]


def test_the_largest_small_body_goes_in_one_put(store: ObjectStore) -> None:
    body = os.urandom(SMALL_BODY)
    assert read(store, "small", put(store, "small", body)) == body


def test_metadata_comes_back_from_head_and_get(store: ObjectStore) -> None:
    etag = store.put(ObjectKey("a"), b"x", METADATA)
    info = store.head(ObjectKey("a"))
    assert info is not None
    assert info.metadata == METADATA
    with store.get(ObjectKey("a"), etag) as download:
        assert download.info == info


def test_put_head_get_and_list_agree_on_the_etag(store: ObjectStore) -> None:
    etag = put(store, "dir/a", b"content")
    info = store.head(ObjectKey("dir/a"))
    assert info is not None
    with store.get(ObjectKey("dir/a"), etag) as download:
        found = {etag, info.etag, download.info.etag, *(entry.etag for entry in store.list("dir/"))}
    assert len(found) == 1
    assert '"' not in etag


def test_head_and_list_agree_on_size_and_about_on_time(store: ObjectStore) -> None:
    put(store, "dir/a", b"content")
    info = store.head(ObjectKey("dir/a"))
    (entry,) = store.list("dir/")
    assert info is not None
    assert (info.size, entry.size) == (7, 7)
    assert abs(info.modified - entry.modified) < 1.0  # a header has whole seconds, a listing may have more
    assert abs(info.modified - time.time()) < 60


def test_overwriting_gives_another_etag_and_the_new_content(store: ObjectStore) -> None:
    first = put(store, "a", b"one")
    second = put(store, "a", b"two")
    assert first != second
    assert read(store, "a", second) == b"two"


def test_a_missing_object_is_none_to_head_and_not_found_to_get(store: ObjectStore) -> None:
    assert store.head(ObjectKey("nothing/here")) is None
    with pytest.raises(NotFound), store.get(ObjectKey("nothing/here"), ETag("0" * 32)):
        pass


def test_getting_a_version_that_was_overwritten_is_refused(store: ObjectStore) -> None:
    first = put(store, "a", b"one")
    put(store, "a", b"two")
    with pytest.raises(PreconditionFailed), store.get(ObjectKey("a"), first):
        pass


def test_if_absent_writes_once_and_never_over_something(store: ObjectStore) -> None:
    etag = store.put(ObjectKey("a"), b"mine", {}, IfAbsent())
    with pytest.raises(PreconditionFailed):
        store.put(ObjectKey("a"), b"theirs", {}, IfAbsent())
    assert read(store, "a", etag) == b"mine"


def test_if_match_writes_only_over_the_version_named(store: ObjectStore) -> None:
    first = put(store, "a", b"one")
    second = store.put(ObjectKey("a"), b"two", {}, IfMatch(first))
    with pytest.raises(PreconditionFailed):
        store.put(ObjectKey("a"), b"three", {}, IfMatch(first))
    assert read(store, "a", second) == b"two"


def test_if_match_on_an_object_that_is_gone_is_refused(store: ObjectStore) -> None:
    with pytest.raises(PreconditionFailed):
        store.put(ObjectKey("gone"), b"x", {}, IfMatch(ETag("0" * 32)))
    assert store.head(ObjectKey("gone")) is None


@pytest.mark.parametrize("name", NAMES)
def test_unusual_names_pass_unchanged(store: ObjectStore, name: str) -> None:
    etag = put(store, f"odd/{name}", name.encode())
    assert keys(store, "odd/") == [f"odd/{name}"]
    assert read(store, f"odd/{name}", etag) == name.encode()
    assert store.head(ObjectKey(f"odd/{name}")) is not None


@pytest.mark.parametrize("key", ["t/a//b", "t/../b", "t/./b", "t/a/", "t/\x01\x7f", "t/tab\there", "//", "t/a/.."])
def test_keys_that_are_no_paths_are_listed_headed_and_got_as_they_are(any_key_store: ObjectStore, key: str) -> None:
    put(any_key_store, "t/neighbour")
    etag = put(any_key_store, key, b"trap")
    assert keys(any_key_store) == sorted([key, "t/neighbour"])
    info = any_key_store.head(ObjectKey(key))
    assert info is not None
    assert (info.size, info.etag) == (4, etag)
    assert read(any_key_store, key, etag) == b"trap"
    with pytest.raises(PreconditionFailed), any_key_store.get(ObjectKey(key), ETag("0" * 32)):
        pass


def test_a_missing_key_that_is_no_path_is_none_to_head(any_key_store: ObjectStore) -> None:
    assert any_key_store.head(ObjectKey("no//thing")) is None


def test_a_prefix_with_its_slash_matches_nothing_beside_it(store: ObjectStore) -> None:
    for key in ("data/a", "database/b", "data", "dat/c", "data-x/d"):
        put(store, key)
    assert keys(store, "data/") == ["data/a"]


def test_listing_nothing_is_empty_and_no_error(store: ObjectStore) -> None:
    assert list(store.list("nothing/")) == []


def test_a_listing_of_several_pages_has_every_key_once(store: ObjectStore) -> None:
    expected = [f"pages/{number:05d}" for number in range(1050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(store, key, b""), expected))
    assert [entry.key for entry in store.list("pages/")] == expected
    assert [key for page in store.pages("pages/") for key in page.keys] == expected


def test_a_large_object_arrives_whole_with_its_metadata(store: ObjectStore) -> None:
    chunks = [os.urandom(2**20) for _ in range(19)]
    etag = put_large(store, "large", chunks, 19 * 2**20, metadata=METADATA)
    info = store.head(ObjectKey("large"))
    assert info is not None
    assert (info.size, info.etag, info.metadata) == (19 * 2**20, etag, METADATA)
    assert [entry.etag for entry in store.list("large")] == [etag]
    assert hashlib.sha256(read(store, "large", etag)).digest() == hashlib.sha256(b"".join(chunks)).digest()


def test_a_large_upload_of_nothing_is_an_empty_object(store: ObjectStore) -> None:
    assert read(store, "large", put_large(store, "large", [], 0)) == b""


def test_confirm_sees_the_object_still_as_it_was_and_may_refuse(store: ObjectStore) -> None:
    before = put(store, "large", b"before")
    sent: list[bytes] = []

    def chunks() -> Iterable[bytes]:
        sent.append(b"after")
        yield b"after"

    def confirm() -> None:
        assert sent == [b"after"]
        raise ChangedWhileReading("read", "large")

    with pytest.raises(ChangedWhileReading):
        put_large(store, "large", chunks(), confirm=confirm)
    assert read(store, "large", before) == b"before"


def test_a_large_upload_whose_source_fails_leaves_nothing(store: ObjectStore) -> None:
    def chunks() -> Iterable[bytes]:
        yield os.urandom(9 * 2**20)
        raise ChangedWhileReading("read", "large")

    with pytest.raises(ChangedWhileReading):
        put_large(store, "large", chunks(), 10 * 2**20)
    assert keys(store) == []


def test_a_large_upload_heeds_its_condition(store: ObjectStore) -> None:
    first = put_large(store, "large", [b"one"], condition=IfAbsent())
    with pytest.raises(PreconditionFailed):
        put_large(store, "large", [b"two"], condition=IfAbsent())
    second = put_large(store, "large", [b"three"], condition=IfMatch(first))
    with pytest.raises(PreconditionFailed):
        put_large(store, "large", [b"four"], condition=IfMatch(first))
    with pytest.raises(PreconditionFailed):
        put_large(store, "gone", [b"five"], condition=IfMatch(first))
    assert read(store, "large", second) == b"three"
    assert store.head(ObjectKey("gone")) is None


@pytest.mark.parametrize("name", ["plain", "with space+plus", "ünï%41"])
def test_a_copy_has_body_and_metadata_and_leaves_the_source(store: ObjectStore, name: str) -> None:
    etag = store.put(ObjectKey(f"from/{name}"), b"body", METADATA)
    store.copy(ObjectKey(f"from/{name}"), ObjectKey(f"to/{name}"))
    info = store.head(ObjectKey(f"to/{name}"))
    assert info is not None
    assert info.metadata == METADATA
    assert read(store, f"to/{name}", info.etag) == b"body"
    assert read(store, f"from/{name}", etag) == b"body"


def test_a_copy_is_of_the_version_that_was_asked_for(careful_store: ObjectStore) -> None:
    store = careful_store
    first = put(store, "from", b"first")
    second = put(store, "from", b"second")
    with pytest.raises(PreconditionFailed):
        store.copy(ObjectKey("from"), ObjectKey("to"), first)
    assert store.head(ObjectKey("to")) is None
    store.copy(ObjectKey("from"), ObjectKey("to"), second)
    assert store.head(ObjectKey("to")) is not None


def test_copying_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        store.copy(ObjectKey("nothing"), ObjectKey("to"))


LARGE = 11 * 2**20  # bytes: three parts of the smallest size that servers take


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.remote.copying.RANGE", 5 * 2**20)


@pytest.mark.usefixtures("small_ranges")
def test_a_copy_in_parts_has_body_and_metadata_and_leaves_the_source(store: ObjectStore) -> None:
    body, beats = os.urandom(LARGE), list[int]()
    source, target = ObjectKey("from/ü +%41"), ObjectKey("to/ü +%41")
    options = ObjectOptions(content_type="text/csv")
    etag = store.put_large(source, LARGE, [body], METADATA, None, lambda: None, options)
    store.copy_large(source, target, etag, lambda: beats.append(1))
    info = store.head(target)
    assert info is not None
    assert (info.size, info.metadata) == (LARGE, METADATA)
    assert read(store, target, info.etag) == body
    assert read(store, source, etag) == body
    assert beats


@pytest.mark.usefixtures("small_ranges")
def test_a_copy_in_parts_is_of_the_version_that_was_asked_for_and_replaces_nothing(store: ObjectStore) -> None:
    source, target = ObjectKey("from"), ObjectKey("to")
    first = store.put_large(source, LARGE, [os.urandom(LARGE)], {}, None, lambda: None)
    second = store.put_large(source, LARGE, [os.urandom(LARGE)], {}, None, lambda: None)
    with pytest.raises(PreconditionFailed):
        store.copy_large(source, target, first, lambda: None)
    assert store.head(target) is None
    there = put(store, "to", b"somebody's")
    with pytest.raises(PreconditionFailed):
        store.copy_large(source, target, second, lambda: None)
    assert read(store, "to", there) == b"somebody's"


@pytest.mark.usefixtures("small_ranges")
def test_a_copy_in_parts_of_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        store.copy_large(ObjectKey("nothing"), ObjectKey("to"), ETag("any"), lambda: None)


def test_a_download_may_be_left_half_read(store: ObjectStore) -> None:
    body = os.urandom(6 * 2**20)
    etag = put(store, "a", body)
    for _ in range(3):
        with store.get(ObjectKey("a"), etag) as download:
            assert body.startswith(next(download.chunks))
    assert read(store, "a", etag) == body


def test_sixteen_threads_may_use_one_store(store: ObjectStore) -> None:
    def round_trip(number: int) -> bool:
        body = os.urandom(1000 + number)
        etag = put(store, f"threads/{number}", body)
        return read(store, f"threads/{number}", etag) == body and store.head(ObjectKey(f"threads/{number}")) is not None

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(round_trip, range(96)))
    assert len(keys(store, "threads/")) == 96


def test_check_is_content_with_a_bucket_that_works(store: ObjectStore) -> None:
    store.check()


def test_what_is_deleted_is_gone_and_its_neighbours_stay(store: ObjectStore) -> None:
    etag = put(store, "dir/a")
    put(store, "dir/a.txt")
    store.delete(ObjectKey("dir/a"), etag)
    assert keys(store) == ["dir/a.txt"]


def test_deleting_what_is_gone_is_no_error(store: ObjectStore) -> None:
    etag = put(store, "dir/a")
    store.delete(ObjectKey("dir/a"), etag)
    store.delete(ObjectKey("dir/a"), etag)
    assert keys(store) == []


def test_parts_in_any_order_make_one_object(store: ObjectStore) -> None:
    body = os.urandom(2 * SMALL_BODY + 12345)
    etag = put_large(store, "dir/large", BytesParts(body), len(body), metadata=METADATA)
    assert read(store, "dir/large", etag) == body


@pytest.mark.parametrize(("start", "size"), [(0, 1), (5, 700_000), (0, 2**20 + 3), (2**20, 3)])
def test_a_range_is_those_bytes_of_that_version(store: ObjectStore, start: int, size: int) -> None:
    body = os.urandom(2**20 + 3)
    etag = store.put(ObjectKey("dir/a"), body, METADATA)
    room = bytearray(len(body))

    def write(offset: int, piece: memoryview) -> None:
        room[offset : offset + len(piece)] = piece

    info = store.read_range(ObjectKey("dir/a"), etag, start, size, write)
    assert room[start : start + size] == body[start : start + size]
    assert (info.size, info.etag, info.metadata) == (len(body), etag, METADATA)


def test_a_range_of_another_version_is_refused(store: ObjectStore) -> None:
    first = put(store, "a", b"one")
    put(store, "a", b"two")
    with pytest.raises(PreconditionFailed):
        store.read_range(ObjectKey("a"), first, 0, 2, lambda *_: None)
    with pytest.raises(NotFound):
        store.read_range(ObjectKey("gone"), first, 0, 2, lambda *_: None)
