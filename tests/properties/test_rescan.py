"""A rescan plans, counts and remembers exactly what the plain merge of walk and index does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping
from sidecar.listed import Listed
from sidecar.mirror import LONG_GONE, Absences
from sidecar.plan import Absent, plan_egress, plan_egress_from, plan_egress_of
from sidecar.reconcile import Reconcile
from sidecar.rescan import Rescan
from sidecar.selection.attention import Attention
from sidecar.selection.filtering import Filter
from sidecar.sides import Sides
from sidecar.state.index import Index, Scope
from sidecar.tree import Agreed, Entries, ETag, Fingerprint, Outline, RelativePath, entry_of

NOW = 10 * LONG_GONE
EPOCH = "1970-01-01T00:00:00Z"
PATHS = ["a", "a-", "a/b", "a/b.tmp", "a/c/d", "a0", "b", "b.tmp", "é"]
MAPPINGS = [
    Mapping(Direction.EGRESS, "out", "t", exclude=exclude, delete=delete)
    for exclude in ((), ("*.tmp",))
    for delete in (False, True)
]

fingerprints = st.builds(Fingerprint, st.integers(1, 2), st.integers(1, 2), st.just(7), st.just(9))
rechecks = st.sampled_from([0.0, 0.0, NOW - 1, NOW + 1])
since = st.sampled_from([0.0, 0.0, NOW - 1, NOW - LONG_GONE - 1])


@dataclass
class Walked:
    """As much of :class:`Sides` as a rescan asks for."""

    files: list[Outline]
    counted_rows: int = 0
    size: int = 2
    listed: Listed | None = None

    def runs(self) -> Iterator[list[Outline]]:
        for start in range(0, len(self.files), self.size):
            yield self.files[start : start + self.size]

    def counted(self, take: Callable[[int], list[Outline]]) -> Callable[[int], list[Outline]]:
        def counting(count: int) -> list[Outline]:
            rows = take(count)
            self.counted_rows += len(rows)
            return rows

        return counting


@dataclass
class Case:
    """What is on the device, and what the index says, written and unwritten."""

    mapping: Mapping
    files: dict[str, Fingerprint] = field(default_factory=dict)
    rows: dict[str, Agreed] = field(default_factory=dict)
    unwritten: set[str] = field(default_factory=set)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = Case(draw(st.sampled_from(MAPPINGS)))
    for path in PATHS:
        local = draw(fingerprints)
        if draw(st.booleans()) and not (case.mapping.exclude and path.endswith(".tmp")):
            case.files[path] = draw(st.sampled_from([local, local, draw(fingerprints)]))
        if draw(st.integers(0, 3)):
            case.rows[path] = Agreed(RelativePath(path), local, b"\1" * 32, ETag("tag"), 1, draw(rechecks), draw(since))
            if draw(st.integers(0, 3)) == 0:
                case.unwritten.add(path)
    return case


def remembered(index: Index, case: Case) -> int:
    scope = index.scope(Scope("https://s3", "bucket", case.mapping, "id"))
    for path, row in case.rows.items():
        if path not in case.unwritten:
            index.record(scope, row)
    index.commit()
    index._writer.execute("PRAGMA query_only = 1")
    for path in case.unwritten:
        index.record(scope, case.rows[path])
    return scope


@settings(deadline=None, max_examples=150)
@given(cases())
def test_a_rescan_is_the_plain_merge(case: Case) -> None:
    files = [outline(path, seen) for path, seen in sorted(case.files.items())]
    rows = [row for _, row in sorted(case.rows.items())]
    plainly = Absences(Filter(case.mapping), case.mapping.delete, NOW)
    expected = list(plan_egress(map(entry_of, files), rows, None, NOW, plainly))
    to_recheck = sorted((row.recheck_at, row.path) for row in rows if row.recheck_at > NOW and not hidden(case, row))

    absences = Absences(Filter(case.mapping), case.mapping.delete, NOW)
    attention, walked = Attention(600), Walked(files)
    with tempfile.TemporaryDirectory() as directory:
        index = Index(f"{directory}/index")
        scope = remembered(index, case)
        rescan = Rescan(cast("Sides", walked), index, scope, attention, absences, NOW)
        assert list(plan_egress_of(rescan.differing(), NOW)) == expected
        index.close()
    assert walked.counted_rows == len(rows)
    assert sorted(attention._rechecks) == to_recheck
    assert absences.total == plainly.total
    assert (absences.wanted, absences.one) == (plainly.wanted, plainly.one)
    assert (absences.newly, absences.long_gone) == (plainly.newly, plainly.long_gone)
    assert absences.returned == [path for path in sorted(case.files) if path in case.rows and case.rows[path].gone_at]


@settings(deadline=None, max_examples=150)
@given(cases(), st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["tag", "tag", "other"])), st.integers(1, 4))
def test_a_reconcile_is_the_plain_merge_of_all_three(case: Case, objects: dict[str, str], page: int) -> None:
    if case.mapping.exclude:
        objects = {path: etag for path, etag in objects.items() if not path.endswith(".tmp")}
    files = [outline(path, seen) for path, seen in sorted(case.files.items())]
    rows = [row for _, row in sorted(case.rows.items())]
    keys = sorted(objects)
    pages = [
        Entries(some, [1] * len(some), [objects[key] for key in some], [EPOCH] * len(some))
        for start in range(0, len(keys), page)
        for some in [keys[start : start + page]]
    ]
    there = list(Listed("out", "", Filter(case.mapping), unheard).files(pages))
    plainly = Absences(Filter(case.mapping), case.mapping.delete, NOW)
    expected = list(plan_egress(map(entry_of, files), rows, there, NOW, plainly))

    absences, attention = Absences(Filter(case.mapping), case.mapping.delete, NOW), Attention(600)
    listed = Listed("out", "", Filter(case.mapping), unheard)
    walked = Walked(files, listed=listed)
    with tempfile.TemporaryDirectory() as directory:
        index = Index(f"{directory}/index")
        scope = remembered(index, case)
        rescan = Rescan(cast("Sides", walked), index, scope, attention, absences, NOW)
        reconcile = Reconcile(rescan, listed.runs(pages))
        assert list(plan_egress_from(reconcile.differing(), NOW, absences)) == expected
        index.close()
    assert walked.counted_rows == len(rows)
    later = sorted((row.recheck_at, row.path) for row in rows if row.recheck_at > NOW and not hidden(case, row))
    assert sorted(attention._rechecks) == later
    counts = [(one.total, one.wanted, one.one, one.both, one.newly, one.long_gone) for one in (absences, plainly)]
    assert counts[0] == counts[1]


def unheard(_fault: object) -> None:
    pass


def outline(path: str, seen: Fingerprint) -> Outline:
    return path, seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode, 0.0


def hidden(case: Case, row: Agreed) -> bool:
    """Whether the row is marked as missing and its file is: nothing to compare later."""
    return bool(row.gone_at) and row.path not in case.files


def test_an_absence_on_both_sides_is_no_matter_of_age() -> None:
    absences = Absences(Filter(MAPPINGS[0]), False, NOW)
    row = Agreed(RelativePath("a"), Fingerprint(1, 1, 1, 1), b"", ETag(""), 1)
    absences(Absent(row, both=True))
    assert (absences.both, absences.newly) == (["a"], [])
