"""Whole pages of a listing are read, checked and compared to the same end as their objects one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping
from sidecar.listed import Listed
from sidecar.mirror import Absences
from sidecar.plan import RemoteFile, aligned, plan_ingress_of
from sidecar.relist import Relist
from sidecar.remote import listing, pages
from sidecar.remote.keys import Collisions, path_for, plain_paths
from sidecar.remote.listing import InvalidListing, parse_page
from sidecar.remote.order import ListingOutOfOrder, Ordering
from sidecar.selection.filtering import Filter
from sidecar.sides import Sides, Touched
from sidecar.state.index import Index, Scope
from sidecar.tree import (
    Agreed,
    Entries,
    ETag,
    Fingerprint,
    NameFault,
    ObjectKey,
    RelativePath,
    RemoteEntry,
    Version,
    entries_of,
)

MOMENT = "2026-11-28T12:00:00.250Z"
components = st.sampled_from(["a", "a-", "a.", "b", "c.tmp", "é", "\U0001f600", " ", "+", "%", "%2F", "&", "x" * 255])
odd = st.sampled_from(
    ["", ".", "..", "\0", "\n", "\udcff", "y" * 256, "é" * 128, ".data-sync", ".data-syncignore", "k.conflict-"]
)
likely_keys = st.lists(components, min_size=1, max_size=3).map("/".join)
keys = st.one_of(likely_keys, likely_keys, st.lists(st.one_of(components, odd), min_size=1, max_size=3).map("/".join))
some_keys = st.lists(keys, min_size=1, max_size=12, unique=True)


def entries(*names: str) -> Entries:
    count = len(names)
    return Entries(list(names), [1] * count, ["e"] * count, [MOMENT] * count)


def contents(key: str, more: str = "") -> str:
    times = f"<LastModified>{MOMENT}</LastModified>"
    return f"<Contents><Key>{key}</Key>{times}<ETag>&quot;e&quot;</ETag><Size>1</Size>{more}</Contents>"


# Reading pages


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Documents as servers write them, most of them with one shape for all entries."""
    encoded, gap = draw(st.booleans()), draw(st.sampled_from(["", "\n  ", "\r\n"]))
    inner = ["Key", "LastModified", "ETag", "Size", *draw(st.sampled_from([(), ("StorageClass",), ("Owner", "Type")]))]
    order = draw(st.permutations(inner))
    entries = []
    for key in draw(st.lists(likely_keys if encoded else components, max_size=5)):
        values = {
            "Key": quote_plus(key, safe=draw(st.sampled_from(["", "/"])), errors="surrogateescape")
            if encoded
            else escape(key),
            "LastModified": draw(
                st.sampled_from([MOMENT, MOMENT, "2026-11-28T12:00:00Z", "2026-11-28T12:00:00+01:00"])
            ),
            "ETag": draw(st.sampled_from(["&quot;e-1&quot;", '"e/2"', "bare", 'W/"weak"', "", "&quot;a&amp;b&quot;"])),
            "Size": str(draw(st.integers(0, 2**40))),
            "Owner": f"{gap}<ID>Key</ID>{gap}<DisplayName/>",
            "Type": "",
            "StorageClass": "STANDARD",
        }
        names = draw(st.permutations(inner)) if draw(st.integers(0, 9)) == 0 else order
        body = gap.join(f"<{name}>{values[name]}</{name}>" for name in names)
        entries.append(f"<Contents>{gap}{body}{gap}</Contents>{gap}")
    head = draw(st.sampled_from(['<?xml version="1.0" encoding="UTF-8"?>', "", '<?xml version="1.0"?>']))
    kind = "<EncodingType>url</EncodingType>" if encoded else ""
    return f"{head}<ListBucketResult>{kind}{gap}{''.join(entries)}<KeyCount>1</KeyCount></ListBucketResult>".encode()


@given(documents())
def test_a_usual_page_says_what_the_parser_says(document: bytes) -> None:
    reader = listing._read(document)
    parsed = list(reader.entries().each())
    page = parse_page([document])
    assert list(page.entries.each()) == parsed
    assert page.next_token == reader.next_token()


def test_the_page_of_nearly_every_server_is_a_usual_one() -> None:
    for more in ("", "<StorageClass>S</StorageClass>", "<Owner><ID>x</ID></Owner><StorageClass>S</StorageClass>"):
        one = contents("a", more)
        found = pages.usual(f"<ListBucketResult>{one}{one}</ListBucketResult>".encode())
        assert found is not None, more
        assert found.entries(encoded=False) == Entries(["a", "a"], [1, 1], ["e", "e"], [MOMENT, MOMENT])


@pytest.mark.parametrize(
    "between",
    ["<Contents/>", "<!-- x -->", "<CommonPrefixes/>", "x", "<Contents><Key>b</Key></Contents>", "</Contents>"],
)
def test_nothing_between_two_entries_is_passed_over(between: str) -> None:
    one = contents("a")
    assert pages.usual(f"<ListBucketResult>{one}{between}{one}</ListBucketResult>".encode()) is None


def test_entries_that_are_not_right_below_the_root_are_no_listing() -> None:
    one = contents("a")
    with pytest.raises(InvalidListing, match="not where they should be"):
        parse_page([f"<ListBucketResult><Deeper>{one}</Deeper></ListBucketResult>".encode()])


def test_a_page_without_end_is_given_up() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"<a>" * 100_000

    with pytest.raises(InvalidListing, match="more than"):
        parse_page(endless())
    assert taken < 100


# Names


@given(some_keys, st.sampled_from(["", "p", "p/q"]), st.booleans())
@example(["é" * 64], "", False)
def test_keys_are_plain_paths_only_where_each_of_them_is(names: list[str], prefix: str, stranger: bool) -> None:
    found = sorted(f"{prefix}/{name}" if prefix else name for name in names)
    found += ["q"] if stranger else []
    paths = plain_paths(prefix, found)
    one_by_one = [path_for(prefix, RemoteEntry(ObjectKey(key), 1, ETag("e"), 0.0)) for key in found]
    if paths is not None:
        assert paths == one_by_one
    elif not any(path is None or isinstance(path, NameFault) for path in one_by_one):
        assert max(map(len, found)) > 63, "only a long name that is not ASCII may be asked about for nothing"


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "a-", "a0", "b", "é"]), min_size=1, max_size=3).map("/".join),
        min_size=1,
        unique=True,
    ),
    st.integers(1, 5),
)
def test_pages_collide_where_their_paths_do(names: list[str], size: int) -> None:
    together, single = Collisions(), Collisions()
    stream = iter(sorted(names))
    while page := list(islice(stream, size)):
        expected = [single.check(RelativePath(path)) for path in page]
        clean = together.check_all(page)
        assert clean == (not any(expected))
        if not clean:
            assert [together.check(RelativePath(path)) for path in page] == expected
        assert together._open == single._open


MAPPINGS = [
    Mapping(direction, source, target, exclude=exclude)
    for exclude in ((), ("*.tmp",))
    for direction, source, target in (
        (Direction.INGRESS, "p", "."),
        (Direction.INGRESS, "p", "d"),
        (Direction.EGRESS, "d", "p"),
    )
]


@given(some_keys, st.sampled_from(MAPPINGS), st.integers(1, 5))
def test_a_page_gives_the_files_that_its_objects_give(names: list[str], mapping: Mapping, size: int) -> None:
    found = sorted(f"p/{name}" for name in names)
    faults: list[NameFault] = []
    listed = Listed(mapping.directory, "p", Filter(mapping), faults.append)
    files = list(listed.files(entries(*found[at : at + size]) for at in range(0, len(found), size)))
    singly: list[NameFault] = []
    one = Listed(mapping.directory, "p", Filter(mapping), singly.append)
    expected = [path for key in found for path in [one._path(next(entries(key).each()))]]
    assert [file.path for file in files] == [path for path in expected if isinstance(path, str)]
    assert faults == [fault for fault in expected if isinstance(fault, NameFault)]
    assert {(file.size, file.etag, file.modified) for file in files} <= {(1, "e", 1795867200.25)}


@given(st.lists(st.sampled_from(["a", "a-", "a/b", "b", "b", "c"]), min_size=1, max_size=8), st.integers(1, 4))
def test_pages_come_in_the_order_in_which_their_objects_would(names: list[str], size: int) -> None:
    given_pages = [entries(*names[at : at + size]) for at in range(0, len(names), size)]

    def keys_of(in_pages: bool) -> list[list[str]]:
        """What comes until it breaks off, and what comes then."""
        found = []
        with tempfile.TemporaryDirectory() as spill:
            ordering = Ordering(spill, run_length=2)
            for _ in range(2):
                keys: list[str] = []
                try:
                    if in_pages:
                        for page in ordering.pages_in_order("", iter(given_pages)):
                            keys += page.keys
                    else:
                        entries = (entry for page in given_pages for entry in page.each())
                        keys.extend(entry.key for entry in ordering.in_order("", entries))
                except ListingOutOfOrder:
                    keys.append("broke off")
                found.append(keys)
        return found

    singly = keys_of(in_pages=False)
    together = keys_of(in_pages=True)
    assert together[1] == singly[1] == sorted(set(names))
    assert ("broke off" in together[0]) == ("broke off" in singly[0])
    assert together[0] == singly[0]


# Comparing with the index

PATHS = ["a", "a-", "a/b", "a/c", "a0", "b/c.tmp", "é"]


@dataclass
class Bucket:
    """As much of :class:`Sides` as a relist asks for."""

    objects: list[RemoteEntry]
    listed: Listed
    rows: int = 0

    def versions(self) -> Iterator[list[Version]]:
        stream = iter(self.objects)
        while some := list(islice(stream, 2)):
            yield from self.listed.runs([entries_of(some)])

    def rows_seen(self, take):  # type: ignore[no-untyped-def]
        def counting(count: int) -> list[Version]:
            found: list[Version] = take(count)
            self.rows += len(found)
            return found

        return counting


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["v1", "v2"])),
    st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["v1", "v1", "v2"])),
    st.dictionaries(st.sampled_from(PATHS), st.integers(1, 2)),
    st.sets(st.sampled_from(PATHS)),
    st.sets(st.sampled_from(["a", "b"])),
    st.booleans(),
)
def test_a_relist_plans_what_the_plain_merge_plans(
    objects: dict[str, str],
    agreed: dict[str, str],
    local: dict[str, int],
    files: set[str],
    directories: set[str],
    delete: bool,
) -> None:
    mapping = Mapping(Direction.INGRESS, "", "d", delete=delete, exclude=("*.tmp",))
    filter_, touched = Filter(mapping), Touched(files, directories)
    rows = [
        Agreed(RelativePath(path), Fingerprint(1, 1, 7, 7), b"\1" * 32, ETag(etag), 1)
        for path, etag in sorted(agreed.items())
    ]

    def look(path: RelativePath) -> Fingerprint | None:
        return Fingerprint(1, local[path], 7, 7) if path in local else None

    found = [RemoteEntry(ObjectKey(key), 1, ETag(etag), 0.0) for key, etag in sorted(objects.items())]
    faults: list[NameFault] = []
    there = list(Listed("d", "", filter_, faults.append).files([entries_of(found)] if found else []))
    plainly = Absences(filter_, delete, 0.0)
    pairs: list[tuple[RemoteFile, Agreed | None]] = []
    for path, _, known, one in aligned(list[RemoteFile](), rows, there):
        if one is None and known is not None:
            plainly.versions([(path, 1, known.etag, False)], lambda path: next(row for row in rows if row.path == path))
        elif one is not None and (known is None or known.etag != one.etag or touched(path)):
            pairs.append((one, known))

    absences = Absences(filter_, delete, 0.0)
    bucket = Bucket(found, Listed("d", "", filter_, lambda _: None))
    with tempfile.TemporaryDirectory() as directory:
        index = Index(f"{directory}/index")
        scope = index.scope(Scope("e", "b", mapping, "id"))
        for row in rows:
            index.record(scope, row)
        relist = Relist(cast("Sides", bucket), index, scope, absences, touched)
        assert list(plan_ingress_of(relist.differing(), look)) == list(plan_ingress_of(pairs, look))
        index.close()
    assert bucket.rows == len(rows)
    assert (absences.total, absences.wanted, absences.one) == (plainly.total, plainly.wanted, plainly.one)
