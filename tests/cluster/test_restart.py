"""A real API server that is killed and comes back, with devices that came and went around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cluster import Cluster, load_configuration
from controller.resources import EDGE_DEVICES
from demo.s3server import S3Server
from tests.cluster.conftest import make_definitions
from tests.cluster.control_plane import ControlPlane
from tests.fakes.provisioner import Provisioner
from tests.scenarios.world import World


@pytest.fixture
def own_world(control_plane: ControlPlane, s3_server: S3Server) -> Iterator[World]:
    """A world that nobody else needs."""
    admin = Cluster(load_configuration(str(control_plane.kubeconfig)))
    make_definitions(admin)
    provisioner = Provisioner(Cluster(load_configuration(str(control_plane.kubeconfig))), s3_server)
    found = World(admin, lambda _: Path(control_plane.kubeconfig), provisioner)
    found.make_namespace()
    found.make_class()
    provisioner.start()
    yield found
    found.clean()
    provisioner.stop()
    admin.close()


def test_a_killed_api_server_is_caught_up_with(control_plane: ControlPlane, own_world: World) -> None:
    with own_world.controller() as controller:
        own_world.make_device("before")
        own_world.bound("before")
        control_plane.kill_api()
        own_world.until(lambda: not controller.leadership.leading, "without an API server nobody leads")
        control_plane.start_api()
        own_world.make_device("after")
        own_world.bound("after")
        own_world.remove(EDGE_DEVICES, "before")
        own_world.gone("before")
