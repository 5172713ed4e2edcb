"""A real API server: that of ``KUBECONFIG``, or one of its own from the binaries in ``KUBEBUILDER_ASSETS``.

Without either, every test here is skipped with a line that says so.

What tests make there: namespaces, storage classes and a ClusterRole, all named ``data-sync-test-…`` and
removed again, and CRDs, which stay: other tests may be using them at the same time.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from controller.cluster import Cluster, load_configuration
from controller.errors import Exists
from controller.resources import Json, Resource
from demo.s3server import S3Server
from tests.cluster.control_plane import NEEDED, ControlPlane
from tests.controller import rights
from tests.fakes import definitions
from tests.fakes.provisioner import Provisioner
from tests.scenarios.world import PATIENCE, World

SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_RBAC: Final = "rbac.authorization.k8s.io"
ROLES: Final = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS: Final = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of our own, which a test may kill."""
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", "nowhere"))
    missing = [name for name in NEEDED if not (assets / name).exists()]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: set KUBEBUILDER_ASSETS to a directory that has them")
    with ControlPlane(assets, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def admin_kubeconfig(request: pytest.FixtureRequest) -> str:
    """The kubeconfig of somebody who may do everything."""
    path = os.environ.get("KUBECONFIG", "")
    if path and Path(path).exists():
        return path
    if "KUBEBUILDER_ASSETS" in os.environ:
        return str(request.getfixturevalue("control_plane").kubeconfig)
    pytest.skip(
        "no real API server: set KUBECONFIG to an administrator's file of a cluster made for tests, "
        "or KUBEBUILDER_ASSETS to a directory with etcd and kube-apiserver"
    )


@pytest.fixture(scope="session")
def admin(admin_kubeconfig: str) -> Iterator[Cluster]:
    """A client that may do everything, of a cluster with all our definitions."""
    found = Cluster(load_configuration(admin_kubeconfig), timeout=PATIENCE)
    make_definitions(found)
    yield found
    found.close()


def make_definitions(cluster: Cluster) -> None:
    """Create our CRDs and the claims', or bring them up to date, and wait until they are served."""
    for body in (*definitions.own(), definitions.object_bucket_claims()):
        _make(cluster, body)


def _make(cluster: Cluster, body: Json) -> None:
    name = body["metadata"]["name"]
    try:
        cluster.create(DEFINITIONS, "", body)
    except Exists:
        current = cluster.get(DEFINITIONS, "", name)
        cluster.update(DEFINITIONS, {**body, "metadata": {**current["metadata"], **body["metadata"]}})
    wait = World(cluster, lambda _: Path(), Provisioner.__new__(Provisioner)).until
    wait(lambda: _established(cluster.get(DEFINITIONS, "", name)), f"{name} is served")


def _established(definition: Json) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)


@pytest.fixture(scope="session")
def controller_kubeconfig(admin: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service account with just the rights of ``tests/controller/rights.py``."""
    name = f"data-sync-test-{secrets.token_hex(4)}"
    metadata = {"name": name}
    admin.create(SERVICE_ACCOUNTS, "default", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    granted = {**rights.CLUSTER, **rights.OWN_NAMESPACE}
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(verbs)}
        for (group, resource), verbs in granted.items()
    ]
    api = {"apiVersion": f"{_RBAC}/v1", "metadata": metadata}
    admin.create(ROLES, "", {**api, "kind": "ClusterRole", "rules": rules})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
    admin.create(BINDINGS, "", {**api, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})
    asked: dict[str, Any] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = SERVICE_ACCOUNTS.path("default", name, "token")
    token = admin.request("POST", path, body=asked)["status"]["token"]
    file = tmp_path_factory.mktemp("controller") / "kubeconfig"
    file.write_text(json.dumps(_kubeconfig(admin, token)))
    yield file
    for resource, namespace in ((BINDINGS, ""), (ROLES, ""), (SERVICE_ACCOUNTS, "default")):
        uid = admin.get(resource, namespace, name)["metadata"]["uid"]
        admin.delete(resource, namespace, name, uid=uid)


def _kubeconfig(admin: Cluster, token: str) -> Json:
    where = {"server": admin.configuration.host, "certificate-authority": admin.configuration.ssl_ca_cert}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": where}],
        "users": [{"name": "test", "user": {"token": token}}],
    }


@pytest.fixture
def world(admin: Cluster, admin_kubeconfig: str, controller_kubeconfig: Path, s3_server: S3Server) -> Iterator[World]:
    def kubeconfig(user: str) -> Path:
        return controller_kubeconfig if user == "controller" else Path(admin_kubeconfig)

    provisioner = Provisioner(Cluster(load_configuration(admin_kubeconfig)), s3_server)
    found = World(admin, kubeconfig, provisioner)
    found.make_namespace()
    found.make_class()
    provisioner.start()
    yield found
    found.clean()
    provisioner.stop()
