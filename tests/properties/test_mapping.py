"""Mappings by property: what was read is written and read again, and expanding stays inside the rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.mapping import (
    Direction,
    Mapping,
    MappingError,
    check_overlap,
    expand,
    parse_mappings,
)
from contract.paths import VARIABLES, contains

# Few letters, so that paths meet; and all that is special in a path or a variable.
pieces = st.sampled_from(["a", "b", "ab", ".", "..", "/", "$", "(", ")", "$(POD_NAME)", "$(NODE_NAME)", "é", " ", "\\"])
paths = st.lists(pieces, min_size=1, max_size=5).map("".join)
patterns = st.lists(
    st.sampled_from(["*.log", "/a", "a/**/b", "!keep", "cache/", "[!a-c]?", "\\*", "", "..", "a//b"]), max_size=3
)
options = {
    "include": patterns,
    "exclude": patterns,
    "delete": st.booleans(),
    "deleteLimit": st.integers(-1, 9),
    "restore": st.booleans(),
    "mode": st.sampled_from(["keep", "none", "0644"]),
    "storageClass": st.sampled_from(["STANDARD_IA", "GLACIER IR", ""]),
    "encryption": st.sampled_from(["AES256", "aws:kms", "kms"]),
    "kmsKeyId": st.sampled_from(["alias/edge", ""]),
    "tags": st.dictionaries(
        st.sampled_from(["team", "é", "a&b", ""]), st.sampled_from(["", "edge x", "%"]), max_size=2
    ),
    "contentType": st.sampled_from(["auto", "none", "text/csv; charset=utf-8", "text"]),
    "settle": st.sampled_from(["0s", "1500ms", "5m", "25h", "5"]),
    "allowOverlap": st.booleans(),
}
items = st.fixed_dictionaries({"source": paths, "target": paths}, optional=options)
values = st.fixed_dictionaries({name: st.lists(pieces, max_size=3).map("".join) for name in VARIABLES})


def accepted(direction: Direction, item: object) -> Mapping | None:
    try:
        (mapping,) = parse_mappings(direction, [item])
    except MappingError:
        return None
    return mapping


mappings = st.builds(accepted, st.sampled_from(Direction), items).filter(bool)


def overlap(*found: Mapping) -> bool:
    try:
        check_overlap(found)
    except MappingError:
        return True
    return False


@given(mappings)
def test_what_was_read_is_written_and_read_again(mapping: Mapping) -> None:
    assert parse_mappings(mapping.direction, [mapping.to_json()]) == (mapping,)


@given(mappings, values)
def test_expanding_gives_what_could_have_been_written_or_a_fault(mapping: Mapping, values: dict[str, str]) -> None:
    try:
        expanded = expand(mapping, values)
    except MappingError:
        return
    assert accepted(expanded.direction, expanded.to_json()) == expanded
    assert expanded.directory == mapping.directory
    assert expanded.prefix.count("/") == mapping.prefix.count("/"), "a value is one name, or a part of one"


@given(mappings)
def test_without_variables_expanding_changes_nothing(mapping: Mapping) -> None:
    if not any(f"$({name})" in mapping.prefix for name in VARIABLES):
        assert expand(mapping, {}) == mapping


@given(mappings, mappings)
def test_overlap_does_not_depend_on_the_order(one: Mapping, other: Mapping) -> None:
    assert overlap(one, other) == overlap(other, one)


@given(mappings, mappings)
def test_overlap_is_one_file_in_two_places(one: Mapping, other: Mapping) -> None:
    """Told by files instead of paths: a file below both directories, or a key below both prefixes."""

    def share(first: str, second: str) -> bool:
        return any(contains(outer, inner) for outer, inner in ((first, second + "/x"), (second, first + "/x")))

    apart = one.direction is not other.direction
    expected = share(one.directory, other.directory) if apart else share(one.prefix, other.prefix)
    if one.direction is other.direction is Direction.INGRESS or (one.allow_overlap and other.allow_overlap):
        expected = False
    assert overlap(one, other) == expected


@given(st.lists(mappings, max_size=4))
def test_a_list_overlaps_when_two_of_it_do(found: list[Mapping]) -> None:
    pairs = [(one, other) for place, one in enumerate(found) for other in found[place + 1 :]]
    assert overlap(*found) == any(overlap(*pair) for pair in pairs)
