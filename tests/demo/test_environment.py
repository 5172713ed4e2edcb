"""Variables and commands expand as kubelet expands them."""

from __future__ import annotations

import pytest

from demo.environment import command, environment, expand
from demo.errors import NotRunnable
from demo.facts import Facts, Json

VARIABLES = {"A": "1", "B": "$(A)", "EMPTY": ""}

# From the documentation of Kubernetes' expansion (third_party/forked/golang/expansion) and its own tests.
EXPANSIONS = [
    ("plain text stays", "plain", "plain"),
    ("a reference is filled in", "$(A)", "1"),
    ("text around references stays", "<$(A)-$(A)>", "<1-1>"),
    ("a value is not expanded again", "$(B)", "$(A)"),
    ("an empty value is a value", "[$(EMPTY)]", "[]"),
    ("two dollars are one, and hide a reference", "$$(A)", "$(A)"),
    ("four dollars are two", "$$$$(A)", "$$(A)"),
    ("three dollars are one and a reference", "$$$(A)", "$1"),
    ("two dollars are one wherever they stand", "a$$b", "a$b"),
    ("a dollar before other text stays", "$A ${A}", "$A ${A}"),
    ("a dollar at the end stays", "$(A)$", "1$"),
    ("a reference that never closes stays", "$(A", "$(A"),
    ("unicode passes", "é$(A)ü", "é1ü"),
]


@pytest.mark.parametrize(("text", "expanded"), [case[1:] for case in EXPANSIONS], ids=[case[0] for case in EXPANSIONS])
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, VARIABLES) == expanded


def test_a_reference_to_nothing_is_an_error() -> None:
    with pytest.raises(NotRunnable, match=r"\$\(C\) in 'x\$\(C\)' names no earlier variable"):
        expand("x$(C)", VARIABLES)


POD: Json = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"l": "v"}, "annotations": {"a.b/c": "w"}},
    "spec": {},
}
FACTS = Facts(
    "node-1",
    (
        {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "from the map"}},
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "c2VjcmV0"}, "stringData": {"t": "text"}},
    ),
)


def of(*variables: Json) -> dict[str, str]:
    return environment({"name": "app", "env": list(variables)}, POD, FACTS)


def test_a_later_variable_may_refer_to_an_earlier_one_and_not_the_other_way_round() -> None:
    first, second = {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}
    assert of(first, second) == {"A": "1", "B": "12"}
    with pytest.raises(NotRunnable, match="container app, variable B"):
        of(second, first)


REFERENCES = [
    ("the pod's name", {"fieldRef": {"fieldPath": "metadata.name"}}, "p"),
    ("its namespace", {"fieldRef": {"fieldPath": "metadata.namespace"}}, "n"),
    ("its node", {"fieldRef": {"fieldPath": "spec.nodeName"}}, "node-1"),
    ("a label", {"fieldRef": {"fieldPath": "metadata.labels['l']"}}, "v"),
    ("an annotation", {"fieldRef": {"fieldPath": "metadata.annotations['a.b/c']"}}, "w"),
    ("an absent annotation is empty", {"fieldRef": {"fieldPath": "metadata.annotations['d']"}}, ""),
    ("a key of a ConfigMap", {"configMapKeyRef": {"name": "c", "key": "k"}}, "from the map"),
    ("a key of a Secret is decoded", {"secretKeyRef": {"name": "s", "key": "k"}}, "secret"),
    ("a key of a Secret in plain text", {"secretKeyRef": {"name": "s", "key": "t"}}, "text"),
]


@pytest.mark.parametrize(("source", "text"), [case[1:] for case in REFERENCES], ids=[case[0] for case in REFERENCES])
def test_value_from(source: Json, text: str) -> None:
    assert of({"name": "X", "valueFrom": source}) == {"X": text}


@pytest.mark.parametrize("name", ["c", "nobody"])
def test_an_optional_key_that_is_absent_leaves_the_variable_out(name: str) -> None:
    assert of({"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": "x", "optional": True}}}) == {}


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ({"name": "app", "envFrom": [{"secretRef": {"name": "s"}}]}, "container app: envFrom is not understood here"),
        (
            {"name": "app", "env": [{"name": "X", "valueFrom": {"resourceFieldRef": {}}}]},
            "container app, variable X: valueFrom 'resourceFieldRef' is not understood here",
        ),
    ],
)
def test_what_is_not_understood_is_refused(container: Json, sentence: str) -> None:
    with pytest.raises(NotRunnable) as refusal:
        environment(container, POD, FACTS)
    assert str(refusal.value) == sentence


def test_a_field_that_the_pod_does_not_have_yet_is_named() -> None:
    pod: Json = {"metadata": {"generateName": "p-"}, "spec": {}}
    variable = {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    with pytest.raises(NotRunnable, match=r"the pod has no metadata\.name"):
        environment({"name": "app", "env": [variable]}, pod, FACTS)


def test_command_and_arguments_expand() -> None:
    assert command({"name": "app", "command": ["run", "$(A)"], "args": ["$$(A)", 7]}, VARIABLES) == [
        "run",
        "1",
        "$(A)",
        "7",
    ]
    with pytest.raises(NotRunnable, match="container app, command"):
        command({"name": "app", "command": ["$(C)"]}, VARIABLES)
