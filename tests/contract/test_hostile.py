"""What a user, an API server or a torn file may hand us: every answer is a sentence, never a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.mapping import Direction, Mapping, MappingError, expand, parse_mappings
from contract.quantity import LONGEST, MOST_BYTES, parse_bytes, parse_duration, parse_share
from contract.spec import Owner, SpecError, SyncSpec, mappings_from_annotation, parse_interval
from contract.storage import InvalidField, StorageError, storage_from

HUGE = int("f" * 60_000, 16)  # YAML reads 0xfff…; it has more digits than Python will print
TOO_DEEP = ["[" * 100_000, '{"a":' * 100_000]
KEYS = {"BUCKET_NAME": "bucket", "BUCKET_HOST": "host", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "planted"}


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    "items",
    [
        pytest.param(HUGE, id="a number beyond printing"),
        pytest.param([HUGE], id="as an item"),
        pytest.param([{"source": HUGE, "target": "b"}], id="as a path"),
        pytest.param([{"source": "a", "target": "b", "allowOverlap": HUGE}], id="as an option"),
        pytest.param([{"source": "a", "target": "b", HUGE: 1}], id="as a key"),
        pytest.param([{"source": nested(5000), "target": "b"}], id="a list deeper than repr goes"),
        pytest.param([{"source": "a", "target": "b", "allowOverlap": nested(5000)}], id="as an option, too"),
        pytest.param([{"source": "a", "target": "b", ("x", "y"): 1}], id="a key that is a tuple"),
        pytest.param([{"source": "a", "target": "b", "\ud800": 1}], id="a key that is a lone surrogate"),
        pytest.param([{"source": "a", "target": "b", None: 1}], id="a key that is nothing"),
        pytest.param([{"source": "a", "target": "b", "allowOverlap": "true"}], id="a boolean as text"),
        pytest.param([{"source": "a", "target": "b", "allowOverlap": 1}], id="a boolean as a number"),
        pytest.param([{"source": float("nan"), "target": float("inf")}], id="no number, and an endless one"),
        pytest.param([{"source": "a", "target": "$()"}], id="a variable without a name"),
        pytest.param([{"source": "a", "target": "$(POD_NAME )"}], id="a variable with a space"),
        pytest.param([{"source": "a", "target": "\ud800/$(POD_NAME)"}], id="a lone surrogate before a variable"),
        pytest.param(({"source": "a", "target": "b"},), id="a tuple for a list"),
    ],
)
def test_items_of_any_kind_are_refused_in_a_short_sentence(items: object) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mappings(Direction.EGRESS, items)
    assert all(len(fault) < 400 for fault in raised.value.faults)
    str(raised.value).encode()  # can be sent as an answer


@pytest.mark.parametrize("target", ["$(", "$(POD_NAME", "$", "a)b", "$$", "$ (POD_NAME)"])
def test_what_only_begins_like_a_variable_is_a_name(target: str) -> None:
    (mapping,) = parse_mappings(Direction.EGRESS, [{"source": "a", "target": target}])
    assert expand(mapping, {"POD_NAME": "p"}).prefix == target


def test_a_value_is_not_expanded_a_second_time() -> None:
    mapping = Mapping(Direction.EGRESS, "a", "$(POD_NAME)")
    assert expand(mapping, {"POD_NAME": "$(NODE_NAME)", "NODE_NAME": "n"}).prefix == "$(NODE_NAME)"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["source", "target", "restore", "egress", "ingress"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@given(anything, st.sampled_from(Direction))
def test_whatever_is_parsed_is_mappings_or_faults(items: object, direction: Direction) -> None:
    try:
        found = parse_mappings(direction, items)
    except MappingError as error:
        str(error).encode()
    else:
        assert all(isinstance(mapping, Mapping) for mapping in found)


@pytest.mark.parametrize("text", TOO_DEEP, ids=["lists", "objects"])
@pytest.mark.parametrize("variable", ["DATA_SYNC_EGRESS", "DATA_SYNC_INGRESS", "DATA_SYNC_OWNER"])
def test_a_variable_nested_too_deeply_is_a_fault(variable: str, text: str) -> None:
    with pytest.raises(SpecError) as raised:
        SyncSpec.from_env({variable: text})
    assert [fault.partition(":")[0] for fault in raised.value.faults] == [variable]


@pytest.mark.parametrize("text", [*TOO_DEEP, "1" * 5000, "NaN", "\ud800"], ids=lambda text: repr(text[:6]))
def test_an_annotation_edited_into_nonsense_cannot_stop_a_running_sidecar(text: str) -> None:
    with pytest.raises(MappingError):
        mappings_from_annotation(text)


@pytest.mark.parametrize(
    "text",
    [*TOO_DEEP, "", "null", "1" * 5000, "NaN", '"x"', "\ud800", '{"namespace": "a", "namespace_uid": null}'],
    ids=lambda text: repr(text[:12]),
)
def test_a_torn_owner_record_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the type is the promise; the words are the parser's
        Owner.from_json(text)


def test_an_owner_record_of_a_newer_version_is_read() -> None:
    owner = Owner("namespace", "uid", "Deployment", "name")
    newer = json.dumps({**json.loads(owner.to_json()), "since": 1})
    assert Owner.from_json(newer) == owner


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(parse_duration, "9" * 400 + "h", id="hours beyond what a float holds"),
        pytest.param(parse_interval, "900000h", id="an interval longer than threads can wait"),
        pytest.param(parse_bytes, str(MOST_BYTES + 1), id="a byte more than a quantity holds"),
        pytest.param(parse_bytes, "9" * 400 + "Ti", id="bytes without end"),
        pytest.param(parse_share, "9" * 400 + "%", id="a share beyond what a float holds"),
        pytest.param(parse_share, "100.0000001%", id="more than all"),
        pytest.param(parse_share, "٣%", id="a share in other digits"),
        pytest.param(parse_duration, "1٣s", id="a duration in mixed digits"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_a_short_sentence(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"longer|more|no percentage|no duration") as raised:
        parse(text)
    assert len(str(raised.value)) < 200


def test_the_bounds_themselves_are_accepted() -> None:
    assert parse_duration("876000h") == LONGEST
    assert parse_bytes(str(MOST_BYTES)) == MOST_BYTES
    assert parse_share("100%") == 1


def test_an_interval_finer_than_it_can_be_written_is_rounded() -> None:
    spec = SyncSpec(interval=parse_interval("1234.5678ms"))
    assert SyncSpec.from_env(spec.to_env()) == spec


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("BUCKET_PORT", "1" * 5000, id="a port beyond printing"),
        pytest.param("BUCKET_PORT", "²", id="a port that is a digit to Python only"),
        pytest.param("BUCKET_PORT", "+80", id="a port with a sign"),
        pytest.param("BUCKET_HOST", "a..b", id="a host with an empty label"),
        pytest.param("BUCKET_HOST", "a" * 64 + ".b", id="a host with a label too long for DNS"),
        pytest.param("BUCKET_HOST", ".".join(["a" * 60] * 5), id="a host too long for DNS"),
        pytest.param("BUCKET_HOST", "[:::]", id="an IPv6 address that is none"),
        pytest.param("BUCKET_HOST", "[fe80::1%eth0]", id="an IPv6 address of one link"),
        pytest.param("BUCKET_HOST", "::1", id="an IPv6 address without brackets"),
        pytest.param("BUCKET_REGION", "eu west", id="a region with a space"),
        pytest.param("BUCKET_REGION", "eu/west", id="a region that splits the signature's scope"),
        pytest.param("BUCKET_REGION", "\ud800", id="a region that is no text"),
        pytest.param("AWS_ACCESS_KEY_ID", "a\r\nX-Evil: 1", id="a key that would add a header"),
        pytest.param("AWS_ACCESS_KEY_ID", "é", id="a key that fits in no header"),
        pytest.param("AWS_SECRET_ACCESS_KEY", "planted\nsecond line", id="a secret of two lines"),
        pytest.param("AWS_SECRET_ACCESS_KEY", "planted\ud800", id="a secret that is no text"),
        pytest.param("AWS_SESSION_TOKEN", "planted\n2", id="a token of two lines"),
    ],
)
def test_storage_keys_that_would_fail_deep_inside_a_library_are_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(InvalidField) as raised:
        storage_from({**KEYS, key: value})
    assert raised.value.key == key
    assert "planted" not in str(raised.value)


def test_a_secret_may_have_letters_of_any_alphabet() -> None:
    assert storage_from({**KEYS, "AWS_SECRET_ACCESS_KEY": "schlüssel"}).secret_access_key == "schlüssel"


@given(st.dictionaries(st.sampled_from([*KEYS, "BUCKET_PORT", "BUCKET_REGION", "tls.crt"]), st.text(st.characters())))
def test_whatever_the_files_hold_is_a_storage_or_a_storage_error(texts: dict[str, str]) -> None:
    try:
        storage = storage_from({**KEYS, **texts})
    except StorageError:
        return
    storage.endpoint.encode("idna")
    assert repr(storage).isprintable()
