"""Mappings: what is accepted, what is refused and in which words, and what a bucket path expands to."""

from __future__ import annotations

from typing import Any

import pytest

from contract.mapping import Direction, Mapping, MappingError, check_overlap, expand, parse_mappings

EGRESS, INGRESS = Direction.EGRESS, Direction.INGRESS


def egress(source: str, target: str, **options: Any) -> Mapping:
    (mapping,) = parse_mappings(EGRESS, [{"source": source, "target": target, **options}])
    return mapping


def ingress(source: str, target: str, **options: Any) -> Mapping:
    (mapping,) = parse_mappings(INGRESS, [{"source": source, "target": target, **options}])
    return mapping


def test_the_documentations_example() -> None:
    items = [
        {"source": "local/upload/log", "target": "remote/log"},
        {"source": "local/upload/telemetry", "target": "remote/telemetry"},
    ]
    both = parse_mappings(EGRESS, items) + parse_mappings(INGRESS, [{"source": "remote/data", "target": "local/in"}])
    check_overlap(both)
    assert [(mapping.directory, mapping.prefix) for mapping in both] == [
        ("local/upload/log", "remote/log"),
        ("local/upload/telemetry", "remote/telemetry"),
        ("local/in", "remote/data"),
    ]


def test_nothing_is_the_empty_list() -> None:
    assert parse_mappings(EGRESS, None) == ()


@pytest.mark.parametrize(
    ("case", "items", "words"),
    [
        ("text instead of a list", "stats:statistics", "a list of {source, target} is needed, not text"),
        ("a mapping instead of a list", {"source": "a"}, "not a mapping"),
        ("an item that is text", ["a"], "item 1: {source, target} is needed, not text"),
        ("no source", [{"target": "a"}], "item 1: 'source' is missing"),
        ("a number", [{"source": 1, "target": "a"}], "item 1: 'source' is text, not 1"),
        ("an empty path", [{"source": "", "target": "a"}], "source '': it is empty"),
        ("an absolute path", [{"source": "/a", "target": "a"}], "source '/a': it is absolute"),
        ("only a slash", [{"source": "/", "target": "a"}], "it is absolute"),
        ("dots up", [{"source": "a/../b", "target": "a"}], "source 'a/../b': it has the component '..'"),
        ("a dot inside", [{"source": "a/./b", "target": "a"}], "it has the component '.'"),
        ("a double slash", [{"source": "a//b", "target": "a"}], "it has the component ''"),
        ("NUL", [{"source": "a\0b", "target": "a"}], "it holds a NUL character"),
        ("a lone surrogate", [{"source": "a\udcff", "target": "a"}], "it is no valid UTF-8"),
        ("a long component", [{"source": "a" * 256, "target": "a"}], "is longer than 255 bytes"),
        ("a long path", [{"source": "/".join(["a" * 200] * 6), "target": "a"}], "it is longer than 1023 bytes"),
        ("our own directory", [{"source": ".data-sync/x", "target": "a"}], "is data-sync's own directory"),
        ("the whole bucket", [{"source": "a", "target": "."}], "target '.': it has the component '.'"),
        ("a variable on the device", [{"source": "$(POD_NAME)", "target": "a"}], "expands only on the bucket's side"),
        ("an unknown variable", [{"source": "a", "target": "$(HOST)"}], "$(HOST) is unknown (known: POD_NAME"),
        (
            "an unknown key",
            [{"source": "a", "target": "b", "sourse": "c"}],
            "item 1: unknown key 'sourse'; did you mean 'source'?",
        ),
        (
            "a key that is no text",
            [{"source": "a", "target": "b", 1: 2}],
            "unknown key 1 (known: source, target, include",
        ),
        ("an option of the other way", [{"source": "a", "target": "b", "restore": False}], "no meaning for egress"),
        ("an option that is text", [{"source": "a", "target": "b", "allowOverlap": "yes"}], "true or false, not 'yes'"),
        ("a near miss", [{"source": "a", "target": "b", "storage_class": "X"}], "did you mean 'storageClass'?"),
        ("an option of ingress", [{"source": "a", "target": "b", "restore": True}], "it belongs to ingress"),
        (
            "a pattern that is no list",
            [{"source": "a", "target": "b", "include": "*"}],
            "'include' is a list of patterns",
        ),
        ("a pattern up", [{"source": "a", "target": "b", "exclude": ["../x"]}], "'exclude' holds '../x': it has the"),
        ("a pattern of nothing", [{"source": "a", "target": "b", "exclude": ["/"]}], "holds '/': it names nothing"),
        ("a backslash at the end", [{"source": "a", "target": "b", "exclude": ["a\\"]}], "ends in a backslash"),
        (
            "a negation where none is",
            [{"source": "a", "target": "b", "include": ["!a"]}],
            "only in 'exclude'; write 'a'",
        ),
        ("too many patterns", [{"source": "a", "target": "b", "exclude": ["a"] * 101}], "at most 100 are allowed"),
        ("an unknown mode", [{"source": "a", "target": "b", "mode": "0644"}], "'mode' is keep or none, not '0644'"),
        ("a class that is none", [{"source": "a", "target": "b", "storageClass": "A B"}], "such as STANDARD_IA"),
        ("no encryption", [{"source": "a", "target": "b", "encryption": "aes256"}], "did you mean 'AES256'?"),
        (
            "a key without KMS",
            [{"source": "a", "target": "b", "kmsKeyId": "k"}],
            "needs 'encryption: aws:kms' beside it",
        ),
        ("a key with a space", [{"source": "a", "target": "b", "kmsKeyId": "k k"}], "is the id, alias or ARN"),
        ("tags in a list", [{"source": "a", "target": "b", "tags": ["a=b"]}], "such as {team: edge}, not ['a=b']"),
        ("a tag that S3 refuses", [{"source": "a", "target": "b", "tags": {"a": "b&c"}}], "a tag has letters, digits"),
        ("a tag that is a number", [{"source": "a", "target": "b", "tags": {"a": 1}}], "is a mapping of text to text"),
        (
            "too many tags",
            [{"source": "a", "target": "b", "tags": {str(n): "" for n in range(11)}}],
            "an object takes 10",
        ),
        ("no media type", [{"source": "a", "target": "b", "contentType": "csv"}], "or a media type such as text/csv"),
        ("a header in a type", [{"source": "a", "target": "b", "contentType": "a/b\r\nX: y"}], "or a media type"),
        ("a settle time without unit", [{"source": "a", "target": "b", "settle": "5"}], "write for example 15s"),
        ("a settle time of days", [{"source": "a", "target": "b", "settle": "48h"}], "'settle' is at most 86400s"),
        ("a settle time in numbers", [{"source": "a", "target": "b", "settle": 5}], "is text such as 30s or 5m, not 5"),
        ("a limit of nothing", [{"source": "a", "target": "b", "delete": True, "deleteLimit": 0}], "at least 1, not 0"),
        ("a limit alone", [{"source": "a", "target": "b", "deleteLimit": 5}], "needs 'delete: true' beside it"),
        (
            "mirroring over an overlap",
            [{"source": "a", "target": "b", "delete": True, "allowOverlap": True}],
            "one mapping would delete what the other one keeps",
        ),
        (
            "one place twice with other options",
            [{"source": "a", "target": "b"}, {"source": "a", "target": "b", "exclude": ["x"]}],
            "item 2: egress 'a' → 'b' is there twice",
        ),
        ("the same twice", [{"source": "a", "target": "b"}] * 2, "item 2: egress 'a' → 'b' is there twice"),
    ],
)
def test_what_cannot_work_is_refused_in_words(case: str, items: object, words: str) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mappings(EGRESS, items)
    assert words in str(raised.value), case


def test_every_fault_is_told_not_only_the_first() -> None:
    with pytest.raises(MappingError) as raised:
        parse_mappings(EGRESS, [{"source": "/a", "target": "../b"}, {"target": "c"}])
    assert len(raised.value.faults) == 3


def test_a_trailing_slash_means_the_directory() -> None:
    assert egress("stats/", "statistics/") == egress("stats", "statistics")


def test_the_device_side_may_be_everything() -> None:
    assert egress(".", "all").directory == "."
    assert ingress("all", ".").directory == "."


@pytest.mark.parametrize(
    ("case", "one", "other"),
    [
        ("one directory both ways", egress("a", "x"), ingress("y", "a")),
        ("the source holds the target", egress("a", "x"), ingress("y", "a/b")),
        ("the target holds the source", egress("a/b", "x"), ingress("y", "a")),
        ("everything is sent", egress(".", "x"), ingress("y", "a")),
        ("one target of two sources", egress("a", "x"), egress("b", "x")),
        ("a target below another", egress("a", "x"), egress("b", "x/y")),
    ],
)
def test_overlap_is_refused_in_either_order(case: str, one: Mapping, other: Mapping) -> None:
    for pair in ([one, other], [other, one]):
        with pytest.raises(MappingError, match="overlap"):
            check_overlap(pair)


@pytest.mark.parametrize(
    ("case", "one", "other"),
    [
        ("names that only begin alike", egress("data", "x"), ingress("y", "database")),
        ("targets that only begin alike", egress("a", "data"), egress("b", "database")),
        ("one source to two targets", egress("a", "x"), egress("a", "y")),
        ("both allow it", egress("a", "x", allowOverlap=True), ingress("y", "a", allowOverlap=True)),
    ],
)
def test_what_does_not_overlap_is_accepted(case: str, one: Mapping, other: Mapping) -> None:
    check_overlap([one, other])
    check_overlap([other, one])


def test_one_side_alone_cannot_allow_an_overlap() -> None:
    with pytest.raises(MappingError):
        check_overlap([egress("a", "x", allowOverlap=True), ingress("y", "a")])


def test_variables_expand_on_the_buckets_side() -> None:
    values = {"POD_NAME": "p", "NODE_NAME": "n"}
    assert expand(egress("a", "x/$(NODE_NAME)-$(POD_NAME)"), values).prefix == "x/n-p"
    assert expand(ingress("x/$(POD_NAME)", "a"), values).prefix == "x/p"


@pytest.mark.parametrize(
    ("case", "values", "words"),
    [
        ("not set", {}, "$(POD_NAME) has no value here"),
        ("empty", {"POD_NAME": ""}, "$(POD_NAME) has no value here"),
        ("a path", {"POD_NAME": "a/b"}, "is 'a/b', which is no single name"),
        ("dots up", {"POD_NAME": ".."}, "is '..', which is no single name"),
        ("too long", {"POD_NAME": "p" * 300}, "is longer than 255 bytes"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(case: str, values: dict[str, str], words: str) -> None:
    with pytest.raises(MappingError) as raised:
        expand(egress("a", "x/$(POD_NAME)"), values)
    assert words in str(raised.value), case


EVERY_OPTION = {
    "include": ["*.csv", "/reports/"],
    "exclude": ["tmp/", "!keep.tmp"],
    "delete": True,
    "deleteLimit": 50,
    "mode": "keep",
    "storageClass": "STANDARD_IA",
    "encryption": "aws:kms",
    "kmsKeyId": "alias/edge",
    "tags": {"team": "edge", "site": "Zürich 3"},
    "contentType": "text/csv",
    "settle": "90s",
}


def test_every_option_is_read_and_written_as_it_was() -> None:
    mapping = egress("a", "b", **EVERY_OPTION)
    assert mapping.to_json() == {"source": "a", "target": "b", **EVERY_OPTION}
    assert (mapping.settle, mapping.tags) == (90.0, (("site", "Zürich 3"), ("team", "edge")))
    assert {mapping}, "it can be a key"


def test_options_survive_expansion_and_json() -> None:
    mapping = ingress("x/$(POD_NAME)", "a", restore=False, allowOverlap=True)
    assert mapping.to_json() == {"source": "x/$(POD_NAME)", "target": "a", "restore": False, "allowOverlap": True}
    assert not expand(mapping, {"POD_NAME": "p"}).restore
