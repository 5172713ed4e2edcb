"""``spec.data`` of an EdgeWorkload, edited → what its pods' annotation becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import names
from contract.mapping import Direction, Mapping
from contract.spec import annotation_to_json
from controller import live

UP = {"source": "stats", "target": "statistics"}
DOWN = {"source": "remote", "target": "local"}


def workload(**data: Any) -> dict[str, Any]:
    return {"metadata": {"name": "w", "namespace": "edge"}, "spec": {"data": data}}


def written(egress: list[dict[str, str]], ingress: list[dict[str, str]]) -> str:
    return annotation_to_json(
        tuple(Mapping(Direction.EGRESS, one["source"], one["target"]) for one in egress),
        tuple(Mapping(Direction.INGRESS, one["source"], one["target"]) for one in ingress),
    )


def pod(mappings: str, name: str = "p", workload: str = "w", **annotations: str) -> dict[str, Any]:
    ours = {f"{names.PREFIX}/{key}": value for key, value in annotations.items()}
    status = json.dumps({"workload": workload})
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "annotations": {names.MAPPINGS: mappings, names.STATUS: status, **ours},
        },
        "spec": {"containers": [{"name": "app"}], "initContainers": [{"name": names.SIDECAR_CONTAINER}]},
        "status": {"phase": "Running"},
    }


@pytest.mark.parametrize(
    ("before", "own", "data", "after"),
    [
        pytest.param(([], []), {}, {"egress": [UP]}, ([UP], []), id="a mapping is added"),
        pytest.param(([UP], [DOWN]), {}, {"ingress": [DOWN]}, ([], [DOWN]), id="a mapping is removed"),
        pytest.param(([UP], []), {}, {"egress": [UP]}, None, id="nothing changed"),
        pytest.param(([UP], []), {"egress": "- {}"}, {"egress": []}, None, id="the pod's own direction stays"),
        pytest.param(
            ([UP], []), {"egress": "- {}"}, {"egress": [], "ingress": [DOWN]}, ([UP], [DOWN]), id="the other follows"
        ),
    ],
)
def test_the_annotation_follows(
    before: tuple[list[Any], list[Any]],
    own: dict[str, str],
    data: dict[str, Any],
    after: tuple[list[Any], list[Any]] | None,
) -> None:
    found = live.edits(live.read(workload(**data)), [pod(written(*before), **own)])
    expected = [] if after is None else [live.Edit("p", "uid-p", written(*after))]
    assert found == expected


def test_the_edit_is_of_exactly_that_pod_and_that_annotation() -> None:
    [edit] = live.edits(live.read(workload(egress=[UP])), [pod(written([], []))])
    assert edit.patch == {"metadata": {"uid": "uid-p", "annotations": {names.MAPPINGS: written([UP], [])}}}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param({"egress": [{"source": "../x", "target": "y"}]}, "..", id="a path that leaves"),
        pytest.param({"ingress": [{"source": "x"}]}, "target", id="half a mapping"),
        pytest.param(
            {"egress": [UP], "ingress": [{"source": "x", "target": "stats"}]},
            "overlap",
            id="both ways on one directory",
        ),
    ],
)
def test_what_cannot_work_changes_nothing_and_is_named(data: dict[str, Any], word: str) -> None:
    found = live.read(workload(**data))
    assert any(word in fault for fault in found.faults)
    assert live.edits(found, [pod(written([UP], []))]) == []


def test_a_clash_with_the_pods_own_annotation_keeps_the_pod_as_it_is() -> None:
    data = live.read(workload(ingress=[{"source": "x", "target": "stats"}]))
    [edit] = live.edits(data, [pod(written([UP], []), egress="- {}")])
    assert edit.mappings == ""
    assert "overlap" in edit.faults[0]


def test_a_broken_annotation_is_written_anew_unless_the_pods_own_word_was_in_it() -> None:
    data = live.read(workload(egress=[UP]))
    assert live.edits(data, [pod("{")]) == [live.Edit("p", "uid-p", written([UP], []))]
    assert live.edits(data, [pod("{", ingress="[]")]) == []


def test_a_pod_that_ends_is_left_alone() -> None:
    ending = pod(written([], []))
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert live.edits(live.read(workload(egress=[UP])), [ending]) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, True, id="its own"),
        pytest.param({"workload": "other"}, False, id="another workload's"),
        pytest.param({"status": "no JSON"}, False, id="a status that says nothing"),
    ],
)
def test_only_pods_of_the_workload_belong_to_it(change: dict[str, str], expected: bool) -> None:
    found = pod("{}", workload=change.get("workload", "w"))
    if "status" in change:
        found["metadata"]["annotations"][names.STATUS] = change["status"]
    assert live.belongs(found, "w") is expected


def test_a_pod_without_sidecar_does_not_belong() -> None:
    found = pod("{}")
    found["spec"]["initContainers"] = []
    assert not live.belongs(found, "w")
