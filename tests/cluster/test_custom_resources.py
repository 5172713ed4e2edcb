"""The CRDs on a real API server: their rules' cost fits its budget, and they accept and refuse what they should."""

from __future__ import annotations

import pytest

from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.resources import EDGE_DEVICES, EDGE_WORKLOADS, Json, Resource
from tests.manifests.custom_resources import ACCEPTED, REFUSED

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}  # what kubectl asks for


def kind_of(resource: Json) -> Resource:
    return EDGE_DEVICES if resource["kind"] == "EdgeDevice" else EDGE_WORKLOADS


def offered(admin: Cluster, resource: Json) -> None:
    admin.request("POST", kind_of(resource).path("default"), STRICT, resource)


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_meant_is_accepted(admin: Cluster, case: str) -> None:
    offered(admin, ACCEPTED[case])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_by_name(admin: Cluster, case: str) -> None:
    word, resource = REFUSED[case]
    with pytest.raises(ClusterError) as refused:
        offered(admin, resource)
    assert word in str(refused.value)
