"""A Kubernetes API in memory, over real HTTP: enough of one for the controller and the webhook's catalog.

``with FakeCluster() as cluster`` serves on a free port; programs reach it by :meth:`FakeCluster.kubeconfig`.
Tests act on it directly by kind (``edgedevices.management.project-flotta.io``, ``pods``): create, get, patch…
Behaves as the real one where ``tests/scenarios/test_api.py`` says so; has no schemas and no rights
but those that ``api.authorizer`` gives.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, Self

from tests.fakes.cluster import controllers, patches
from tests.fakes.cluster.failures import Refused
from tests.fakes.cluster.resources import Json, ResourceType
from tests.fakes.cluster.server import Api, Call, Server, Severed
from tests.fakes.cluster.store import Store

__all__ = ["Call", "FakeCluster", "Json", "Refused", "ResourceType", "Severed"]


class FakeCluster:
    """See the module."""

    def __init__(self) -> None:
        self.store = Store()
        self.api = Api(self.store)
        self.port = 0
        self._server: Server | None = None
        self.store.after_change += controllers.all_of(self.store)
        for name in ("default", "kube-system"):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, on the same port as before if there was one."""
        self.api.closing = False
        self._server = Server(self.api, self.port)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake-cluster", daemon=True).start()

    def stop(self) -> None:
        """Stop serving; connections break, objects stay."""
        server, self._server = self._server, None
        if server is None:
            return
        self.api.closing = True
        with self.store.lock:
            self.store.changed.notify_all()
        server.shutdown()
        server.server_close()
        for connection in list(server.sockets):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def sever_watches(self) -> None:
        """Break every connection, as a load balancer does; objects and port stay."""
        for connection in list(self._server.sockets) if self._server else ():
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def compact(self) -> None:
        """Forget the history: watches that continue from before are told 410."""
        self.store.compact()

    def kubeconfig(self, path: Path, user: str = "admin") -> Path:
        """A kubeconfig file at ``path`` for this cluster, as ``user``."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": user, "namespace": "default"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": user, "user": {"token": user}}],
        }
        path.write_text(json.dumps(config))
        return path

    def define(self, *definitions: Json) -> None:
        """Add custom resources by their CRDs."""
        for definition in definitions:
            self.create(definition)

    # What kubectl would do

    def create(self, body: Json) -> Json:
        """Create an object from its manifest; without a namespace, in ``default``."""
        kind = self._kind_of(body)
        namespace = (body.get("metadata") or {}).get("namespace", "default") if kind.namespaced else ""
        created = self.store.create(kind, namespace, body)
        if kind.status and body.get("status"):
            written = {**created, "status": body["status"]}
            return self.store.update(kind, namespace, created["metadata"]["name"], written, subresource="status")
        return created

    def get(self, plural: str, name: str, namespace: str = "default") -> Json:
        kind = self.store.kind(plural)
        return self.store.get(kind, namespace if kind.namespaced else "", name)

    def find(self, plural: str, name: str, namespace: str = "default") -> Json | None:
        """The object, or None."""
        kind = self.store.kind(plural)
        return self.store.find(kind, namespace if kind.namespaced else "", name)

    def list(self, plural: str, namespace: str = "") -> list[Json]:
        return self.store.list(self.store.kind(plural), namespace)

    def patch(self, plural: str, name: str, patch: Any, namespace: str = "default", subresource: str = "") -> Json:
        """A JSON merge patch."""
        kind = self.store.kind(plural)
        where = namespace if kind.namespaced else ""
        return self.store.patch(kind, where, name, patches.MERGE, patch, subresource=subresource)

    def delete(self, plural: str, name: str, namespace: str = "default") -> Json | None:
        kind = self.store.kind(plural)
        return self.store.delete(kind, namespace if kind.namespaced else "", name)

    def admit(self, hook: Callable[[str, ResourceType, Json], Json]) -> None:
        """Add admission: called with operation, kind and object; returns what to store, or raises Refused."""
        self.store.admission.append(hook)

    def _kind_of(self, body: Json) -> ResourceType:
        for kind in self.store.kinds.values():
            if (kind.api_version, kind.kind) == (body["apiVersion"], body["kind"]):
                return kind
        raise LookupError(f"no kind {body['apiVersion']} {body['kind']} in this cluster")
