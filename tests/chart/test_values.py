"""Values: every one has a comment, the schema knows exactly these, and what is wrong is said well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from release import values_table
from release.helm import CHART, HelmError
from tests.chart.rendered import MAJORS, helm, helm_of

TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def keys(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that only one of the two knows; maps that a user fills are not looked into."""
    properties = schema.get("properties", {})
    yield from (f"{path}{key}: not in the schema" for key in values if key not in properties)
    yield from (f"{path}{key}: not in values.yaml" for key in properties if key not in {*values, "global"})
    for key, value in values.items():
        below = properties.get(key, {})
        if isinstance(value, dict) and below.get("properties") and "$ref" not in below and value:
            yield from keys(value, below, f"{path}{key}.")


def groups(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path or "(top)", schema
    for key, below in schema.get("properties", {}).items():
        if "properties" in below:
            yield from groups(below, f"{path}.{key}".strip("."))


def test_the_schema_knows_exactly_the_values() -> None:
    assert list(keys(VALUES, SCHEMA)) == []


def test_no_group_takes_unknown_keys() -> None:
    assert [path for path, group in groups(SCHEMA) if group.get("additionalProperties") is not False] == []


def test_every_value_has_a_comment() -> None:
    assert [value.key for value in values_table.read(TEXT) if len(value.comment) < 10] == []


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    unused = [
        value.key
        for value in values_table.read(TEXT)
        if f".Values.{value.key}" not in templates
        and f".Values.{value.key.rpartition('.')[0]}" not in templates  # handed on as a group
    ]
    assert unused == []


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"replicas": 2}, ["replicas", "not allowed"], id="an unknown key at the top"),
        pytest.param({"webhook": {"replcas": 2}}, ["webhook", "replcas", "not allowed"], id="a misspelt key"),
        pytest.param({"webhook": {"replicas": 0}}, ["replicas", "1"], id="no replica"),
        pytest.param({"webhook": {"replicas": "two"}}, ["replicas", "integer"], id="a word for a number"),
        pytest.param({"webhook": {"timeoutSeconds": 31}}, ["timeoutSeconds", "30"], id="a timeout beyond Kubernetes'"),
        pytest.param({"webhook": {"env": [{"nam": "x"}]}}, ["env", "nam"], id="a misspelt key in a list"),
        pytest.param({"certificates": {"mode": "vault"}}, ["self", "cert-manager", "provided"], id="an unknown mode"),
        pytest.param({"certificates": {"self": {"servingLifetime": "1 day"}}}, ["servingLifetime"], id="no duration"),
        pytest.param({"policies": {"injection": "deny"}}, ["injection", "Deny"], id="an action in lower case"),
        pytest.param({"sidecar": {"image": {"digest": "abc"}}}, ["digest"], id="a digest that is none"),
        pytest.param({"storage": {"obc": {"reclaimPolicy": "Keep"}}}, ["Delete", "Retain"], id="an unknown policy"),
        pytest.param({"export": {"root": "volumes"}}, ["root"], id="a root that is relative"),
        pytest.param({"export": {"root": "/var/../etc"}}, ["export.root", "without .."], id="a root that climbs"),
        pytest.param({"export": {"layout": "flotta"}}, ["export.flottaNamespace"], id="flotta without its namespace"),
        pytest.param({"certificates": {"mode": "provided"}}, ["provided.secretName"], id="provided without a Secret"),
        pytest.param({"webhook": {"hostNetwork": True}}, ["kubelet"], id="kubelet's port under hostNetwork"),
        pytest.param({"webhook": {"port": 9346}}, ["metricsPort"], id="one port twice"),
        pytest.param({"webhook": {"excludedNamespaces": ["x"]}}, ["kube-system"], id="kube-system not excluded"),
        pytest.param({"storage": {"default": {"secret": "x"}}}, ["default.configMap"], id="keys without a bucket"),
        pytest.param({"storage": {"default": {"configMap": "x"}}}, ["default.secret", "chain"], id="no keys"),
        pytest.param({"test": {"bucket": {"secret": "x"}}}, ["configMap and secret"], id="half a bucket"),
    ],
)
def test_what_cannot_work_is_refused_in_words(major: str, values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(HelmError) as refused:
        helm_of(major).template(values)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_policy_that_the_cluster_does_not_have_is_refused_in_words() -> None:
    with pytest.raises(HelmError, match=r"policies.injection needs Kubernetes 1.30"):
        helm().template({"policies": {"injection": "Deny"}}, kubernetes="1.29.0")


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(HelmError, match=r"incompatible with Kubernetes"):
        helm().template(kubernetes="1.27.9")
