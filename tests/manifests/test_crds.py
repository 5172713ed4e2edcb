"""The CRDs: what they accept and refuse, what kubectl shows, and their rendered copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from contract import names
from contract.mapping import Direction, MappingError, check_overlap, parse_mappings
from tests.manifests import crds
from tests.manifests.custom_resources import ACCEPTED, REFUSED, egress

MANIFESTS = Path(__file__).parent.parent.parent / "manifests"
PLURALS = sorted(crds.PLURALS.values())
MAPPINGS = {".spec.data.egress[]": Direction.EGRESS, ".spec.data.ingress[]": Direction.INGRESS}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_meant_is_accepted(case: str) -> None:
    check = crds.schema_faults if case == "fifty mappings" else crds.faults
    assert check(ACCEPTED[case]) == []


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_by_name(case: str) -> None:
    word, resource = REFUSED[case]
    assert word in "; ".join(crds.faults(resource))


@pytest.mark.parametrize("sample", sorted(path.name for path in (MANIFESTS / "samples").glob("edge*.yaml")))
def test_the_documentations_own_resources_are_accepted(sample: str) -> None:
    resource = yaml.safe_load((MANIFESTS / "samples" / sample).read_text())
    assert resource["apiVersion"] == names.API_VERSION
    assert crds.faults(resource) == []


def _mappings_work(resource: dict[str, Any]) -> bool:
    data = resource["spec"].get("data") or {}
    try:
        check_overlap([mapping for d in Direction for mapping in parse_mappings(d, data.get(d.value))])
    except MappingError:
        return False
    return True


@pytest.mark.parametrize("case", [case for case, resource in ACCEPTED.items() if "data" in resource["spec"]])
def test_mappings_that_the_crd_accepts_the_programs_accept(case: str) -> None:
    assert _mappings_work(ACCEPTED[case])


@pytest.mark.parametrize(
    "case",
    [c for c, (_, resource) in REFUSED.items() if "data" in (resource["spec"] or {}) and c != "too many mappings"],
)
def test_mappings_that_the_crd_refuses_the_programs_refuse(case: str) -> None:
    assert not _mappings_work(REFUSED[case][1])


@pytest.mark.parametrize(("path", "direction"), MAPPINGS.items())
def test_a_mapping_has_the_same_keys_in_the_crd_and_in_the_programs(path: str, direction: Direction) -> None:
    (item,) = [node for place, node in crds.walk(crds.schema("edgeworkloads")) if place == path]
    with pytest.raises(MappingError) as told:
        parse_mappings(direction, [{"source": "a", "target": "b", "?": 1}])
    known = set(str(told.value).split("(known: ")[1].rstrip(")").split(", "))
    elsewhere = {key for key in known if _has_no_meaning(direction, key)}
    assert set(item["properties"]) == known - elsewhere


def _has_no_meaning(direction: Direction, key: str) -> bool:
    try:
        parse_mappings(direction, [{"source": "a", "target": "b", key: None}])
    except MappingError as error:
        return "has no meaning" in str(error)
    return False


@pytest.mark.parametrize("plural", PLURALS)
def test_the_rendered_copy_is_the_template_without_its_condition(plural: str) -> None:
    assert yaml.safe_load((MANIFESTS / f"crd-{plural}.yaml").read_text()) == crds.document(plural)


@pytest.mark.parametrize("plural", PLURALS)
def test_group_version_and_status_are_the_contracts(plural: str) -> None:
    crd = crds.document(plural)
    (version,) = crd["spec"]["versions"]
    assert f"{crd['spec']['group']}/{version['name']}" == names.API_VERSION
    assert version["subresources"] == {"status": {}}
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("plural", PLURALS)
def test_every_field_of_the_spec_is_explained(plural: str) -> None:
    inner = ("matchLabels[]", "matchExpressions[]", "containers[]", "restartPolicy", "paths[]")
    silent = [
        path
        for path, node in crds.walk(crds.schema(plural)["properties"]["spec"], "spec")
        if "description" not in node and not path.endswith("[]") and not any(part in path for part in inner)
    ]
    silent = [path for path in silent if not path.endswith(("pod.spec.containers",))]
    assert silent == []


@pytest.mark.parametrize("plural", PLURALS)
def test_columns_show_fields_that_the_status_has(plural: str) -> None:
    (version,) = crds.document(plural)["spec"]["versions"]
    known = {path for path, _ in crds.walk(crds.schema(plural))}
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].replace("[*]", "[]").replace('[?(@.type=="Ready")]', "[]")
        path = path.replace('[?(@.type=="Bound")]', "[]")
        assert path in known or path == ".metadata.creationTimestamp"


def test_the_offline_check_knows_what_the_server_would_prune() -> None:
    assert crds.faults(egress(("a", "b"), inculde="x")) != []
