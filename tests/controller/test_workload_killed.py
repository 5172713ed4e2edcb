"""Killed right after any write about a workload: whoever comes next ends where an undisturbed controller would have.

A kill at a read leaves what one after the write before it leaves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract import names
from controller.cluster import Cluster, load_configuration
from controller.resources import Json
from tests.controller.fleet import DAEMON_SETS, DEVICES, JOBS, Fleet
from tests.controller.test_killed import Killed, Mortal
from tests.fakes import definitions
from tests.fakes.cluster import FakeCluster
from tests.fakes.injection import WORKLOADS, admit_pods


class MortalWriter(Mortal):
    """Dies once its write number ``last`` was carried out."""

    def request(self, method: str, path: str, query: dict[str, str] | None = None, body: Json | None = None) -> Json:
        if method == "GET":
            return Cluster.request(self, method, path, query, body)
        return super().request(method, path, query, body)


def described(fleet: Fleet) -> None:
    fleet.device("one")
    fleet.workload()


def running(fleet: Fleet) -> None:
    described(fleet)
    fleet.settle()
    fleet.report()


def edited(fleet: Fleet) -> None:
    data = {"egress": [{"source": "a", "target": "b"}]}
    pod = {"spec": {"containers": [{"name": "app", "image": "example/app:2"}]}}
    fleet.fake.patch(WORKLOADS, "os-stats", {"spec": {"data": data, "pod": pod}})


def deleted(fleet: Fleet) -> None:
    fleet.fake.delete(WORKLOADS, "os-stats")


def asked_to_drain(fleet: Fleet) -> None:
    fleet.fake.patch(WORKLOADS, "os-stats", {"metadata": {"annotations": {names.DRAIN: "requested"}}})


def ended(fleet: Fleet) -> None:
    """Until nothing is left to do, with drains played to their end."""
    fleet.now = fleet.now_of_the_cluster()
    for _ in range(4):
        fleet.look()
        fleet.settle()
        if any(not (job.get("status") or {}).get("conditions") for job in fleet.fake.list(JOBS)):
            fleet.end_job()
    fleet.report()


def left(fleet: Fleet) -> list[Any]:
    """What matters of everything that is there."""
    found: list[Any] = []
    for plural in (WORKLOADS, DAEMON_SETS, "pods", "nodes", DEVICES, JOBS):
        for one in fleet.fake.list(plural):
            metadata = one["metadata"]
            annotations = {
                key: value for key, value in (metadata.get("annotations") or {}).items() if key != names.DRAIN
            }
            labels = {key: value for key, value in (metadata.get("labels") or {}).items() if "job-name" not in key}
            images = [each.get("image") for each in (one.get("spec") or {}).get("containers") or ()]
            found.append((plural, metadata.get("finalizers"), labels, annotations, images))
    return found


STORIES = [
    pytest.param(described, lambda _: None, id="running"),
    pytest.param(running, edited, id="editing"),
    pytest.param(running, deleted, id="deleting"),
    pytest.param(running, asked_to_drain, id="asking for a drain"),
]


@pytest.mark.parametrize(("begin", "act"), STORIES)
def test_a_kill_after_any_write_changes_nothing_in_the_end(
    begin: Callable[[Fleet], None], act: Callable[[Fleet], None], tmp_path: Path
) -> None:
    ends: list[list[Any]] = []
    for last in itertools.count(0):
        with FakeCluster() as fake:
            fake.define(*definitions.own())
            admit_pods(fake)
            cluster = Cluster(load_configuration(str(fake.kubeconfig(tmp_path / "kubeconfig"))))
            fleet = Fleet(fake, cluster)
            begin(fleet)
            act(fleet)
            mortal = MortalWriter(cluster, last, after=True)
            try:
                ended(Fleet(fake, mortal))
                survived = last > 0
            except Killed:
                survived = False
            ended(Fleet(fake, cluster))
            ends.append(left(fleet))
            mortal.close()
            cluster.close()
        if survived:
            break
    assert len(ends) > 3, "the story has several writes"
    assert [end for end in ends if end != ends[0]] == []
