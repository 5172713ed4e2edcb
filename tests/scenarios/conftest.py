"""Scenarios on the fake cluster, with claims on the real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cluster import Cluster, load_configuration
from controller.resources import CLAIMS
from demo.s3server import S3Server
from tests.controller import rights
from tests.fakes import definitions
from tests.fakes.cluster import Call, FakeCluster
from tests.fakes.provisioner import Provisioner
from tests.scenarios.world import PATIENCE, World


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        cluster.define(*definitions.own(), definitions.object_bucket_claims())
        yield cluster


def _may(call: Call, home: str) -> bool:
    return rights.allows(call.group, call.resource, call.verb, own_namespace=call.namespace == home)


@pytest.fixture
def world(fake: FakeCluster, s3_server: S3Server, tmp_path: Path) -> Iterator[World]:
    def kubeconfig(user: str) -> Path:
        return fake.kubeconfig(tmp_path / f"{user}.kubeconfig", user=user)

    admin = Cluster(load_configuration(str(kubeconfig("admin"))), timeout=PATIENCE)
    provisioner = Provisioner(Cluster(load_configuration(str(kubeconfig("provisioner"))), timeout=PATIENCE), s3_server)
    found = World(admin, kubeconfig, provisioner)
    fake.api.authorizer = lambda call: call.user != "controller" or _may(call, found.home)
    found.make_namespace()
    found.make_class()
    provisioner.start()
    yield found
    # Buckets take volumes of the server, which has not many.
    for claim in list(admin.list(CLAIMS, found.namespace)):
        admin.delete(CLAIMS, found.namespace, claim["metadata"]["name"], uid=claim["metadata"]["uid"])
    found.until(lambda: not list(admin.list(CLAIMS, found.namespace)), "no claim is left")
    provisioner.stop()
    admin.close()
