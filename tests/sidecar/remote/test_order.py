"""Listings come in order whatever the server does, within bounded memory, and leave no file behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.storage import Storage
from sidecar.errors import Transient
from sidecar.remote.order import ListingOutOfOrder, Ordering, sort_entries
from sidecar.remote.s3 import S3Store
from sidecar.tree import ETag, ObjectKey, RemoteEntry


def entry(key: str) -> RemoteEntry:
    return RemoteEntry(ObjectKey(key), len(key), ETag(f"e-{key}"), 1.5)


def listing(*keys: str) -> Iterator[RemoteEntry]:
    return iter([entry(key) for key in keys])


def test_an_ascending_listing_streams_through_untouched(tmp_path: Path) -> None:
    taken: list[str] = []

    def entries() -> Iterator[RemoteEntry]:
        for key in ("a", "b", "c"):
            taken.append(key)
            yield entry(key)

    ordered = Ordering(str(tmp_path)).in_order("", entries())
    assert next(ordered) == entry("a")
    assert taken == ["a"], "nothing is read ahead"
    assert list(ordered) == [entry("b"), entry("c")]


def test_a_listing_that_goes_backwards_is_transient_once_and_sorted_ever_after(tmp_path: Path) -> None:
    ordering = Ordering(str(tmp_path))
    with pytest.raises(ListingOutOfOrder):
        list(ordering.in_order("p/", listing("p/a/b", "p/a-b")))
    assert issubclass(ListingOutOfOrder, Transient)
    for _ in range(2):
        assert list(ordering.in_order("p/", listing("p/a/b", "p/a-b"))) == [entry("p/a-b"), entry("p/a/b")]


def test_prefixes_are_remembered_apart(tmp_path: Path) -> None:
    ordering = Ordering(str(tmp_path))
    with pytest.raises(ListingOutOfOrder):
        list(ordering.in_order("p/", listing("p/b", "p/a")))
    with pytest.raises(ListingOutOfOrder):
        list(ordering.in_order("q/", listing("q/b", "q/a")))


def test_a_key_repeated_at_a_page_boundary_comes_once(tmp_path: Path) -> None:
    assert list(Ordering(str(tmp_path)).in_order("", listing("a", "b", "b", "c"))) == [*listing("a", "b", "c")]


@given(st.lists(st.text(max_size=4), max_size=60), st.integers(1, 7))
def test_sorting_outside_memory_gives_each_key_once_in_order(keys: list[str], run_length: int) -> None:
    found = [each.key for each in sort_entries(listing(*keys), tempfile.gettempdir(), run_length)]
    assert found == sorted(set(keys), key=lambda key: key.encode())


def test_entries_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    assert list(sort_entries(listing("b", "a\udcff", "c"), str(tmp_path), 1)) == [*listing("a\udcff", "b", "c")]


def test_runs_have_no_name_and_are_closed_when_sorting_is_abandoned(tmp_path: Path) -> None:
    open_files = len(os.listdir("/proc/self/fd"))
    ordered = sort_entries(listing("c", "b", "a", "d"), str(tmp_path), 1)
    assert next(ordered) == entry("a")
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == open_files + 4
    ordered.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_listing_that_breaks_while_being_sorted_raises_and_hands_nothing_on(tmp_path: Path) -> None:
    def entries() -> Iterator[RemoteEntry]:
        yield entry("b")
        raise Transient("list", "bucket")

    open_files = len(os.listdir("/proc/self/fd"))
    ordered = sort_entries(entries(), str(tmp_path), 1)
    with pytest.raises(Transient):
        next(ordered)
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_nowhere_to_spill_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        list(sort_entries(listing("b", "a"), "/no/such/directory", 1))


def test_seaweedfs_lists_by_directory_and_comes_out_in_order(storage: Storage, tmp_path: Path) -> None:
    keys = ["o/a", "o/a-b", "o/a.b", "o/a/b", "o/a0", "o/b!", "o/b/c"]
    store = S3Store(storage)
    for key in keys:
        store.put(ObjectKey(key), b"", {})
    assert [each.key for each in store.list("o/")] != keys, "it lists by key now: this test and order.py's text are old"
    ordering = Ordering(str(tmp_path))
    with pytest.raises(ListingOutOfOrder):
        list(ordering.in_order("o/", store.list("o/")))
    assert [each.key for each in ordering.in_order("o/", store.list("o/"))] == keys
    store.close()
