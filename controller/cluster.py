"""The only Kubernetes client of the controller: raw dicts in and out, errors by what to do about them.

Plain REST by the official client's configuration, connections and credentials. No typed objects, which
would drop what they do not know; no discovery beyond :meth:`Cluster.serves`; no retry, which is the work
queue's; no watch, which is ``handlers``'.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client, config

from controller.errors import (
    ClusterError,
    Conflict,
    Exists,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Terminating,
    Unavailable,
)
from controller.resources import Json, Resource

_PAGE: Final = 500  # objects in one answer to a list
_TIMEOUT: Final = 10.0  # seconds for one call; below what a lease lasts
_SERVED_FOR: Final = 5.0  # seconds for which discovery's answer is believed

_BY_STATUS: Final[dict[int, type[ClusterError]]] = {
    HTTPStatus.UNAUTHORIZED: Unavailable,  # a token that is being replaced; a wrong one shows in the log
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Gone,
    HTTPStatus.REQUEST_TIMEOUT: Unavailable,
    HTTPStatus.TOO_MANY_REQUESTS: Unavailable,
}


class ConfigurationError(Exception):
    """Neither a service account nor a kubeconfig says where the cluster is."""


def load_configuration(kubeconfig: str = "", context: str = "") -> client.Configuration:
    """How to reach the cluster: the pod's service account, else ``kubeconfig`` or the usual file.

    Raises:
        ConfigurationError: neither is there, or the file cannot be used.
    """
    found = client.Configuration()
    try:
        if not kubeconfig and not context:
            try:
                config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
                return found
            except config.ConfigException:
                pass  # not in a pod
        config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig or None, context or None, client_configuration=found
        )
    except (config.ConfigException, OSError) as error:
        raise ConfigurationError(f"no way to a cluster: {error}; set KUBECONFIG, or run in a pod") from error
    return found


class Cluster:
    """The API server. Safe to use from every thread."""

    def __init__(self, configuration: client.Configuration, timeout: float = _TIMEOUT) -> None:
        configuration.retries = urllib3.Retry(connect=1, read=0, redirect=0, status=0, backoff_factor=0.2)
        self.configuration = configuration
        self._timeout = timeout
        # The untyped part of the library; what comes out of it is checked here.
        self._client: Any = client.ApiClient(configuration)
        self._client.user_agent = "data-sync-controller"
        self._served: dict[str, tuple[float, set[str]]] = {}
        self._lock = threading.Lock()

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """The object as it is now.

        Raises:
            NotFound: there is none.
        """
        return self.request("GET", resource.path(namespace, name))

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """The object as it is now, or None."""
        try:
            return self.get(resource, namespace, name)
        except NotFound:
            return None

    def list(self, resource: Resource, namespace: str = "", labels: str = "", fields: str = "") -> Iterator[Json]:
        """All objects in ``namespace`` (empty: everywhere) that the selectors match, page by page.

        Raises:
            NotFound: the cluster has no such resource.
            Gone: the list took longer than the API server remembers.
        """
        query = {"limit": str(_PAGE), "labelSelector": labels, "fieldSelector": fields}
        while True:
            answer = self.request("GET", resource.path(namespace), query)
            for one in answer["items"]:
                one.setdefault("apiVersion", resource.api_version)  # lists of built-in kinds leave them out
                one.setdefault("kind", resource.kind)
                yield one
            query["continue"] = answer["metadata"].get("continue") or ""
            if not query["continue"]:
                return

    def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """The object as it was created.

        Raises:
            Exists: one of that name is there; it was not touched.
            Terminating: the namespace is being deleted.
        """
        return self.request("POST", resource.path(namespace), body=body)

    def update(self, resource: Resource, body: Json, subresource: str = "") -> Json:
        """Replace the object by ``body``, which says by its resourceVersion what was read.

        Raises:
            Conflict: it changed since.
        """
        metadata = body["metadata"]
        return self.request(
            "PUT", resource.path(metadata.get("namespace", ""), metadata["name"], subresource), body=body
        )

    def patch(self, resource: Resource, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        """Merge ``patch`` into the object; with ``metadata.resourceVersion`` only into that very state of it.

        Raises:
            Conflict: it is not as it was any more.
        """
        return self.request("PATCH", resource.path(namespace, name, subresource), body=patch)

    def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str = "Background"
    ) -> None:
        """Ask for the object of that ``uid`` to go; one that went already is fine.

        Raises:
            Conflict: another object has that name now.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        try:
            self.request("DELETE", resource.path(namespace, name), body={**options, "preconditions": {"uid": uid}})
        except NotFound:
            return

    def serves(self, resource: Resource) -> bool:
        """Whether the cluster has this resource, as of at most five seconds ago."""
        with self._lock:
            asked, known = self._served.get(resource.root, (-_SERVED_FOR, set()))
        if time.monotonic() - asked > _SERVED_FOR:
            try:
                known = {row["name"] for row in self.request("GET", resource.root)["resources"]}
            except NotFound:
                known = set()
            with self._lock:
                self._served[resource.root] = (time.monotonic(), known)
        return resource.plural in known

    def forget_served(self) -> None:
        """Ask anew at the next :meth:`serves`: a definition came or went."""
        with self._lock:
            self._served.clear()

    def request(self, method: str, path: str, query: dict[str, str] | None = None, body: Json | None = None) -> Json:
        """One call and its answer. Every call of the controller goes through here.

        Raises:
            ClusterError: by what to do about it.
        """
        chosen = {key: value for key, value in (query or {}).items() if value}
        url = self.configuration.host + quote(path) + (f"?{urlencode(chosen)}" if chosen else "")
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": self._client.user_agent}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        try:
            answer = self._client.rest_client.request(method, url, headers, body, _request_timeout=self._timeout)
            raw, status = answer.read(), answer.status
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as error:
            raise Unavailable(method, path, f"no answer: {error}") from error
        if 200 <= status <= 299:
            return dict(json.loads(raw))
        raise _failure(method, path, status, raw)

    def close(self) -> None:
        """Close connections that are open."""
        self._client.close()


def _failure(method: str, path: str, status: int, raw: bytes) -> ClusterError:
    said = _status(raw)
    message = str(said.get("message") or f"HTTP status {status}")
    reason = said.get("reason")
    causes = [cause.get("reason") for cause in (said.get("details") or {}).get("causes") or ()]
    kind = _BY_STATUS.get(status, Unavailable if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Invalid)
    if reason == "AlreadyExists":
        kind = Exists
    elif kind is Forbidden and "NamespaceTerminating" in causes:
        kind = Terminating
    return kind(method, path, message)


def _status(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except ValueError:
        return {}  # a proxy's answer, in HTML
    return said if isinstance(said, dict) else {}


# The library tells each answer's body at DEBUG, Secrets included.
logging.getLogger("kubernetes.client.rest").setLevel(logging.INFO)
