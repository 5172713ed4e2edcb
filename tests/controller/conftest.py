"""A fake cluster with all definitions, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cluster import Cluster, load_configuration
from tests.fakes import definitions
from tests.fakes.cluster import FakeCluster


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        cluster.define(*definitions.own(), definitions.object_bucket_claims())
        yield cluster


@pytest.fixture
def cluster(fake: FakeCluster, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(load_configuration(str(fake.kubeconfig(tmp_path / "kubeconfig", user="controller"))))
    yield found
    found.close()
