"""Comparing by the thousand says exactly what the plain merge says, whatever lies on either side."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping
from sidecar.plan import aligned
from sidecar.skim import skim
from sidecar.state.index import Index, Scope
from sidecar.tree import Agreed, ETag, Fingerprint, LocalEntry, Outline, RelativePath, entry_of

SCOPE = Scope("https://s3", "bucket", Mapping(Direction.EGRESS, "a", "b"), "id")
# Around "/" and past ASCII: where an order that is not that of the bytes would show.
PATHS = ["a", "a!", "a-", "a/b", "a/b-", "a/b/c", "a/ü", "a0", "b", "é", "\uffff", "\U0001f600", "\U0001f600/x"]

marks = st.sampled_from([0.0, 5.0, -5.0])
outlines = st.tuples(st.integers(0, 2), st.integers(0, 1), st.just(7), st.just(2**40), marks)
sides = st.dictionaries(st.sampled_from([*PATHS, *(f"n/{number:02}" for number in range(30))]), outlines)


def ascending(side: dict[str, tuple[int, int, int, int, float]], *, seen: bool) -> list[Outline]:
    found = [(path, *rest) for path, rest in sorted(side.items(), key=lambda item: item[0].encode())]
    return [(*outline[:5], 0.0) for outline in found] if seen else found


def runs(files: list[Outline], sizes: list[int]) -> Iterator[list[Outline]]:
    stream = iter(files)
    for size in sizes:
        if some := list(islice(stream, size)):
            yield some
    while some := list(islice(stream, 3)):
        yield some


@st.composite
def tree_and_rows(draw: st.DrawFn) -> tuple[list[Outline], list[Outline]]:
    """Rows, and files that are mostly as the rows have them."""
    rows = draw(sides)
    files = {path: rest for path, rest in rows.items() if draw(st.integers(0, 4))} | draw(sides)
    return ascending(files, seen=True), ascending(rows, seen=False)


@given(tree_and_rows(), st.lists(st.integers(1, 9), max_size=9))
def test_skimming_finds_what_the_plain_merge_finds(both: tuple[list[Outline], list[Outline]], sizes: list[int]) -> None:
    files, rows = both
    stream = iter(rows)
    alone: list[Outline] = []
    asked: list[int] = []

    def take(count: int) -> list[Outline]:
        asked.append(count)
        return list(islice(stream, count))

    found = list(skim(runs(files, sizes), take, alone.extend))
    seen, known = {one[0]: one for one in files}, {one[0]: one for one in rows}
    assert found == [(one, known.get(one[0])) for one in files if known.get(one[0]) != one]
    assert alone == [one for one in rows if one[0] not in seen]
    assert all(count > 0 for count in asked), "of SQLite, none at all means all"
    assert next(stream, None) is None, "every row was taken, and so counted"


@given(tree_and_rows(), st.lists(st.integers(1, 9), max_size=9))
def test_pairs_are_those_of_the_three_way_merge(both: tuple[list[Outline], list[Outline]], sizes: list[int]) -> None:
    files, rows = both
    agreed = [whole(row) for row in rows]
    stream = iter(rows)
    skimmed = {one[0] for one, _ in skim(runs(files, sizes), lambda count: list(islice(stream, count)), lambda _: None)}
    merged = aligned(map(entry_of, files), agreed, list[LocalEntry]())
    for path, entry, row, _ in merged:
        differs = entry is not None and (row is None or row.local != entry.fingerprint or row.recheck_at or row.gone_at)
        assert bool(differs) == (path in skimmed)


def whole(outline: Outline) -> Agreed:
    path, *local, mark = outline
    return Agreed(RelativePath(path), Fingerprint(*local), b"\1" * 32, ETag("tag"), 1, max(mark, 0.0), max(-mark, 0.0))


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(1, 7))
def test_rows_in_outline_are_the_rows_written_or_not(
    written: dict[str, tuple[int, int, int, int, float]],
    unwritten: dict[str, tuple[int, int, int, int, float]],
    count: int,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        index = Index(f"{directory}/index")
        scope, other = index.scope(SCOPE), index.scope(Scope("https://s3", "other", SCOPE.mapping, "id"))
        for outline in ascending(written, seen=False):
            index.record(scope, whole(outline))
        index.record(other, whole(("elsewhere", 1, 1, 1, 1, 0.0)))
        index.commit()
        index._writer.execute("PRAGMA query_only = 1")  # as a disk that is read-only
        for outline in ascending(unwritten, seen=False):
            index.record(scope, whole(outline))
        taken: list[Outline] = []
        with index.outlines(scope) as take:
            while some := take(count):
                taken += some
        assert taken == ascending(written | unwritten, seen=False)
        assert [row.path for row in index.rows(scope)] == [outline[0] for outline in taken]
        index._writer.execute("PRAGMA query_only = 0")
        index.close()
