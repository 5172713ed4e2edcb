"""SyncSpec: what the webhook writes is what the sidecar reads, and faults name their variable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping, MappingError, parse_mappings
from contract.spec import Owner, SpecError, SyncSpec, annotation_to_json, mappings_from_annotation, parse_interval
from contract.storage import OVERRIDABLE_KEYS, Credentials

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0$"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..", ".data-sync")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def mappings(direction: Direction, prefix: str) -> st.SearchStrategy[tuple[Mapping, ...]]:
    """Distinct mappings that cannot overlap: each has a first component of its own."""
    pairs = st.lists(st.tuples(paths, paths), max_size=3)
    return pairs.map(
        lambda found: parse_mappings(
            direction, [{"source": f"{prefix}{n}/{a}", "target": f"{prefix}{n}/{b}"} for n, (a, b) in enumerate(found)]
        )
    )


words = st.text(st.characters(codec="ascii", min_codepoint=33), max_size=12)
specs = st.builds(
    SyncSpec,
    egress=mappings(Direction.EGRESS, "e"),
    ingress=mappings(Direction.INGRESS, "i"),
    interval=st.integers(100, 10**7).map(lambda milliseconds: milliseconds / 1000),
    credentials=st.sampled_from(Credentials),
    claim=words,
    config_map=words,
    secret=words,
    device=words,
    owner=st.none() | st.builds(Owner, words, words, words, words),
    claim_overrides=st.dictionaries(st.sampled_from(OVERRIDABLE_KEYS), words).map(
        lambda found: tuple(sorted(found.items()))
    ),
)


@given(specs)
def test_what_is_written_is_what_is_read(spec: SyncSpec) -> None:
    assert SyncSpec.from_env(spec.to_env()) == spec


@given(specs)
def test_the_annotation_reads_back(spec: SyncSpec) -> None:
    assert mappings_from_annotation(annotation_to_json(spec.egress, spec.ingress)) == (spec.egress, spec.ingress)


def test_an_empty_environment_is_the_default() -> None:
    assert SyncSpec.from_env({}) == SyncSpec()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DATA_SYNC_EGRESS", "[", "DATA_SYNC_EGRESS: no valid JSON"),
        ("DATA_SYNC_EGRESS", "{}", "DATA_SYNC_EGRESS: a list"),
        ("DATA_SYNC_INGRESS", '[{"source": "../a", "target": "b"}]', "DATA_SYNC_INGRESS: item 1: source '../a'"),
        ("DATA_SYNC_INTERVAL", "soon", "DATA_SYNC_INTERVAL: 'soon' is no duration"),
        ("DATA_SYNC_INTERVAL", "1ms", "DATA_SYNC_INTERVAL: '1ms' is shorter than 100ms"),
        ("DATA_SYNC_CREDENTIALS", "role", "DATA_SYNC_CREDENTIALS: 'role' is neither"),
        ("DATA_SYNC_OWNER", "me", "DATA_SYNC_OWNER: "),
        ("DATA_SYNC_OWNER", '{"namespace": 1}', "DATA_SYNC_OWNER: "),
        ("DATA_SYNC_OWNER", "[]", "DATA_SYNC_OWNER: "),
        ("DATA_SYNC_STORAGE_CLAIM_OVERRIDES", "host", "DATA_SYNC_STORAGE_CLAIM_OVERRIDES: no valid JSON"),
        ("DATA_SYNC_STORAGE_CLAIM_OVERRIDES", '["host"]', "DATA_SYNC_STORAGE_CLAIM_OVERRIDES: an object"),
        ("DATA_SYNC_STORAGE_CLAIM_OVERRIDES", '{"BUCKET_PORT": 9}', "DATA_SYNC_STORAGE_CLAIM_OVERRIDES: an object"),
        ("DATA_SYNC_STORAGE_CLAIM_OVERRIDES", '{"BUCKET_NAME": "b"}', "DATA_SYNC_STORAGE_CLAIM_OVERRIDES: BUCKET_NAME"),
    ],
)
def test_what_cannot_be_used_names_its_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(SpecError) as raised:
        SyncSpec.from_env({variable: value})
    assert raised.value.faults[0].startswith(words)


def test_all_faults_are_told_together() -> None:
    with pytest.raises(SpecError) as raised:
        SyncSpec.from_env({"DATA_SYNC_EGRESS": "[", "DATA_SYNC_INTERVAL": "x", "DATA_SYNC_CREDENTIALS": "y"})
    assert len(raised.value.faults) == 3


def test_overlap_across_the_two_lists_is_found() -> None:
    env = {
        "DATA_SYNC_EGRESS": '[{"source": "a", "target": "x"}]',
        "DATA_SYNC_INGRESS": '[{"source": "y", "target": "a"}]',
    }
    with pytest.raises(SpecError, match="overlap"):
        SyncSpec.from_env(env)


@pytest.mark.parametrize("text", ["", "[]", '{"egres": []}', '{"egress": [{"source": "/", "target": "b"}]}'])
def test_an_annotation_that_cannot_work_is_refused(text: str) -> None:
    with pytest.raises(MappingError):
        mappings_from_annotation(text)


def test_an_unknown_namespace_uid_matches_any_and_two_known_ones_must_be_equal() -> None:
    one, same, other = Owner("n", "", "Pod", "p"), Owner("n", "1", "Pod", "p"), Owner("n", "2", "Pod", "p")
    assert one.same_as(same)
    assert one.same_as(other)
    assert not same.same_as(other)
    assert not same.same_as(Owner("n", "1", "Job", "p"))


def test_intervals() -> None:
    assert parse_interval("15s") == 15
