"""Paths to keys and back, and what is quarantined on the way."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import Quarantined
from sidecar.remote.keys import Collisions, key_for, listing_prefix, path_for
from sidecar.tree import ETag, NameFault, ObjectKey, RelativePath, RemoteEntry

COMPONENT = (
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
    .filter(lambda name: name not in (".", ".."))
    .filter(lambda name: len(name.encode()) <= 60)
)
PATH = st.lists(COMPONENT, min_size=1, max_size=5).map("/".join)
PREFIX = st.lists(COMPONENT, max_size=3).map("/".join)
# Names close to each other, so that files and directories of one name come up.
CLOSE = st.lists(st.text("a!-.0~", min_size=1, max_size=2), min_size=1, max_size=4).map("/".join)


def entry(key: str, size: int = 1) -> RemoteEntry:
    return RemoteEntry(ObjectKey(key), size, ETag("e"), 0.0)


@given(PREFIX, PATH)
def test_a_path_survives_the_way_to_the_bucket_and_back(prefix: str, path: str) -> None:
    key = key_for(prefix, RelativePath(path))
    assert key.startswith(listing_prefix(prefix))
    assert path_for(prefix, entry(key)) == path


@given(PREFIX, st.text(max_size=60), st.integers(0, 1))
def test_no_key_leads_out_of_the_directory_or_to_two_names(prefix: str, rest: str, size: int) -> None:
    found = path_for(prefix, entry(listing_prefix(prefix) + rest, size))
    if isinstance(found, str):
        assert os.path.normpath(os.path.join("/export/dir", found)) == f"/export/dir/{found}"
        assert key_for(prefix, found) == listing_prefix(prefix) + rest


REFUSED = {
    "a parent": ("p/../a", "'..'"),
    "a parent at the end": ("p/a/..", "'..'"),
    "the directory itself": ("p/./a", "'.'"),
    "an empty component": ("p/a//b", "''"),
    "an absolute path": ("p//a", "begins with '/'"),
    "a NUL": ("p/a\0b", "NUL"),
    "a component of 256 bytes": ("p/" + "ü" * 128, "longer than 255"),
    "a directory with a content": ("p/a/", "ends in '/'"),
    "a content of the prefix itself": ("p/", "ends in '/'"),
    "bytes that are no UTF-8": ("p/a\udcff", "UTF-8"),
    "another prefix": ("private/a", "does not begin"),
}


@pytest.mark.parametrize(("key", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_path_is_named_and_never_repaired(key: str, why: str) -> None:
    found = path_for("p", entry(key))
    assert isinstance(found, NameFault)
    assert why in found.why
    assert found.name.isprintable()


@pytest.mark.parametrize("name", ["file..txt", "...", "..a", "a..", " ", "a\nb", "a\\b", "-", "ü" * 127, "~"])
def test_names_that_are_merely_unusual_pass(name: str) -> None:
    assert path_for("p", entry(f"p/{name}")) == name


@pytest.mark.parametrize("key", ["p/", "p/a/", "p/a/b/", "p/a//"])
def test_the_marker_of_an_empty_directory_is_no_file(key: str) -> None:
    assert path_for("p", entry(key, 0)) is None


def test_an_empty_object_is_a_file() -> None:
    assert path_for("p", entry("p/a", 0)) == "a"


def test_a_key_may_have_1024_bytes_and_no_more() -> None:
    assert len(key_for("p", RelativePath("ü" * 511)).encode()) == 1024
    with pytest.raises(Quarantined):
        key_for("p", RelativePath("ü" * 511 + "a"))


def test_without_a_prefix_the_path_is_the_key() -> None:
    assert key_for("", RelativePath("a/b")) == "a/b"
    assert listing_prefix("") == ""


def verdicts(paths: list[str]) -> dict[str, bool]:
    """By path, whether it may be a file; asked in ascending order."""
    collisions = Collisions()
    return {path: collisions.check(RelativePath(path)) is None for path in sorted(set(paths))}


def test_a_file_wins_over_all_that_lies_below_it() -> None:
    names = ["a", "a!", "a!/x", "a-", "a-b", "a.txt", "a/b", "a/b/c", "a0", "b/c", "b/c/d", "b0"]
    refused = [path for path, allowed in verdicts(names).items() if not allowed]
    assert refused == ["a!/x", "a/b", "a/b/c", "b/c/d"]


@given(st.lists(CLOSE, max_size=40))
def test_what_may_be_a_file_is_exactly_what_has_no_file_above_it(paths: list[str]) -> None:
    given_paths = set(paths)

    def has_file_above(path: str) -> bool:
        parts = path.split("/")
        return any("/".join(parts[:depth]) in given_paths for depth in range(1, len(parts)))

    assert verdicts(paths) == {path: not has_file_above(path) for path in given_paths}


@given(st.lists(CLOSE, max_size=60))
def test_no_more_is_remembered_than_the_last_path_has_characters(paths: list[str]) -> None:
    collisions = Collisions()
    for path in sorted(paths):
        collisions.check(RelativePath(path))
        assert len(collisions._open) <= len(path)


def test_a_path_twice_is_no_collision() -> None:
    collisions = Collisions()
    assert collisions.check(RelativePath("a")) is None
    assert collisions.check(RelativePath("a")) is None
    assert collisions.check(RelativePath("a/b")) is not None
