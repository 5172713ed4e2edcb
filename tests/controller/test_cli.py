"""The commands for people, on the fake cluster: what they print, what they do, and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.names import INJECT, STATUS
from controller.__main__ import main
from tests.controller.test_device_reconciler import device
from tests.fakes.cluster import Call, FakeCluster, Refused
from tests.scenarios.world import injected_pod

Command = Callable[..., int]


@pytest.fixture
def command(fake: FakeCluster, tmp_path: Path) -> Command:
    kubeconfig = str(fake.kubeconfig(tmp_path / "kubeconfig"))
    return lambda *words: main(["--kubeconfig", kubeconfig, *words])


def pod(fake: FakeCluster, name: str, *, owner: str = "", **metadata: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": [{"name": "app", "image": "example/app:1"}]},
    }
    if owner:
        found = fake.find("replicasets.apps", owner) or fake.create(
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": owner}, "spec": {}}
        )
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": found["metadata"]["uid"]}
        body["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
    return fake.create(body)


def test_status_as_a_table_and_as_json(fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    fake.create({**device(), "status": {"storage": "claim/thing", "conditions": []}})
    assert command("status") == 0
    assert "claim/thing" in capsys.readouterr().out
    assert command("status", "-o", "json", "-n", "default") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["devices"][0]["name"], found["workloads"]) == ("thing", [])
    assert command("status", "-n", "elsewhere") == 0
    assert "No EdgeDevices" in capsys.readouterr().out


def test_status_of_a_cluster_without_our_resources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeCluster() as bare:
        assert main(["--kubeconfig", str(bare.kubeconfig(tmp_path / "kubeconfig")), "status"]) == 0
    assert "no edgedevices; apply the CRDs" in capsys.readouterr().err


def test_repair_lists_what_missed_injection_and_touches_nothing(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.patch("namespaces", "default", {"metadata": {"labels": {INJECT: "enabled"}}})
    pod(fake, "by-namespace", owner="replicas")
    pod(fake, "by-label", labels={INJECT: "enabled"})
    pod(fake, "opted-out", labels={INJECT: "disabled"})
    fake.create(injected_pod("injected", "default", "thing"))
    pod(fake, "over")
    fake.patch("pods", "over", {"status": {"phase": "Succeeded"}}, subresource="status")
    assert command("repair", "-o", "json") == 1
    found = {one["name"]: (one["askedBy"], one["owner"]) for one in json.loads(capsys.readouterr().out)}
    assert found == {"by-label": ("pod", ""), "by-namespace": ("namespace", "ReplicaSet/replicas")}
    assert len(fake.list("pods", "default")) == 5


def test_repair_restarts_what_something_makes_anew(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    pod(fake, "bare", labels={INJECT: "enabled"})
    pod(fake, "replica", owner="replicas", labels={INJECT: "enabled"})
    assert command("repair", "--restart") == 1  # the bare pod needs somebody
    out = capsys.readouterr().out
    assert "evicted" in out
    assert "delete it and create it again" in out
    assert fake.find("pods", "replica") is None
    assert fake.find("pods", "bare") is not None
    fake.delete("pods", "bare")
    assert command("repair", "--restart") == 0
    assert "Every pod" in capsys.readouterr().out


def test_repair_respects_disruption_budgets(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(call: Call) -> None:
        if call.resource == "pods/eviction":
            raise Refused(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")

    fake.api.before.append(refuse)
    pod(fake, "replica", owner="replicas", labels={INJECT: "enabled"})
    assert command("repair", "--restart") == 1
    assert "disruption budget" in capsys.readouterr().out
    assert fake.find("pods", "replica") is not None


def test_explain_says_what_was_decided_and_how_the_device_is(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    conditions = [{"type": "Ready", "status": "True", "reason": "ClaimBound", "message": "all is well"}]
    fake.create({**device(), "status": {"conditions": conditions}})
    body = injected_pod("app", "default", "thing")
    status = {"version": "1", "workload": "os-stats", "device": "thing", "storage": "claim/thing", "mode": "native"}
    body["metadata"]["annotations"] = {STATUS: json.dumps({**status, "rules": {"device": "annotation"}})}
    fake.create(body)
    assert command("explain", "pod", "app") == 0
    out = capsys.readouterr().out
    for said in ("workload os-stats, device thing", "claim/thing", "device: decided by annotation", "all is well"):
        assert said in out


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "neither it nor its namespace"),
        ({INJECT: "disabled"}, "says so"),
        ({INJECT: "enabled"}, "asks for it"),
    ],
)
def test_explain_says_why_a_pod_is_not_injected(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str], labels: dict[str, str], said: str
) -> None:
    pod(fake, "app", labels=labels)
    assert command("explain", "pod", "app") == 0
    assert said in capsys.readouterr().out


def test_explaining_nothing_is_an_error(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "pod", "nobody") == 1
    assert "no pod default/nobody" in capsys.readouterr().err


def test_an_api_server_that_refuses_is_told_in_a_sentence(
    fake: FakeCluster, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.api.authorizer = lambda _: False
    assert command("status") == 1
    assert "forbidden" in capsys.readouterr().err


def test_help_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "repair" in capsys.readouterr().out
