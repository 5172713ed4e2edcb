"""A claim provisioner that behaves as lib-bucket-provisioner does, on a real S3 server.

Each :meth:`Provisioner.look` goes over all claims: a new one gets a bucket, a ConfigMap and a Secret of its
name, and its phase; a deleted one gives them back. Greenfield buckets follow the storage class's reclaim
policy; a class with parameter ``bucketName`` (brownfield) only grants and revokes. Its own finalizer is on
all three. :meth:`start` looks until :meth:`stop`, in a thread.
"""

from __future__ import annotations

import base64
import logging
import threading
import uuid
from contextlib import suppress
from typing import Any, Final

from controller.cluster import Cluster
from controller.errors import ClusterError, Exists, NotFound
from controller.resources import CLAIMS, STORAGE_CLASSES, Json, Resource
from demo.s3server import S3Server

log = logging.getLogger(__name__)

CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
FINALIZER: Final = "objectbucket.io/finalizer"
LABEL: Final = {"bucket-provisioner": "tests.example-bucket"}
_PREFIX: Final = 26  # characters of generateBucketName that a name keeps


class Provisioner:
    """See the module. Claims of the storage classes in ``failing`` fail; while ``paused``, nothing is done."""

    def __init__(self, cluster: Cluster, server: S3Server) -> None:
        self._cluster, self._server = cluster, server
        self.failing: set[str] = set()
        self.paused = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="provisioner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(30)

    def look(self) -> None:
        """One pass over all claims."""
        if self.paused or not self._cluster.serves(CLAIMS):
            return
        for claim in self._cluster.list(CLAIMS):
            with suppress(NotFound):
                self._handle(claim)

    def refresh(self, namespace: str, name: str, access_key_id: str, secret_access_key: str) -> None:
        """Give the claim other credentials, in the same Secret."""
        data = _encoded({"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key})
        self._cluster.patch(SECRETS, namespace, name, {"data": data})

    def buckets(self) -> set[str]:
        """Buckets that are there now."""
        return {one["Name"] for one in self._server.client().list_buckets()["Buckets"]}

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                self.look()
            except ClusterError as error:
                log.debug("the provisioner tries again: %s", error)

    def _handle(self, claim: Json) -> None:
        if claim["metadata"].get("deletionTimestamp"):
            if FINALIZER in (claim["metadata"].get("finalizers") or ()):
                self._deprovision(claim)
        elif (claim.get("status") or {}).get("phase") != "Bound":
            self._provision(claim)

    def _provision(self, claim: Json) -> None:
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        if claim["spec"].get("storageClassName") in self.failing:
            self._set_phase(claim, "Failed")
            return
        brownfield = self._parameter(claim, "bucketName")
        bucket = claim["spec"].get("bucketName") or brownfield or _generated(claim["spec"]["generateBucketName"])
        metadata = {"finalizers": [FINALIZER], "labels": LABEL, "resourceVersion": claim["metadata"]["resourceVersion"]}
        # The name is written down before the bucket is made: a provisioner that dies in between finds it again.
        spec = {"bucketName": bucket, "objectBucketName": f"obc-{namespace}-{name}"}
        claim = self._cluster.patch(CLAIMS, namespace, name, {"metadata": metadata, "spec": spec})
        if bucket not in self.buckets():
            self._server.create_bucket(bucket)
        self._publish(claim, bucket)
        self._set_phase(claim, "Bound")

    def _publish(self, claim: Json, bucket: str) -> None:
        files = self._server.storage_files(bucket)
        config = {"BUCKET_REGION": "", "BUCKET_SUBREGION": ""}
        config |= {key: files[key] for key in ("BUCKET_NAME", "BUCKET_HOST", "BUCKET_PORT")}
        keys = _encoded({key: files[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")})
        for resource, data in ((CONFIG_MAPS, config), (SECRETS, keys)):
            body = {"apiVersion": "v1", "kind": resource.kind, "metadata": _owned(claim), "data": data}
            with suppress(Exists):
                self._cluster.create(resource, claim["metadata"]["namespace"], body)

    def _deprovision(self, claim: Json) -> None:
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        bucket = claim["spec"].get("bucketName")
        greenfield = not self._parameter(claim, "bucketName")
        if greenfield and self._policy(claim) == "Delete" and bucket in self.buckets():
            self._server.delete_bucket(bucket)
        for resource in (CONFIG_MAPS, SECRETS):
            found = self._cluster.find(resource, namespace, name)
            if found is not None:
                self._cluster.patch(resource, namespace, name, {"metadata": {"finalizers": None}})
                self._cluster.delete(resource, namespace, name, uid=found["metadata"]["uid"])
        finalizers = [one for one in claim["metadata"]["finalizers"] if one != FINALIZER]
        self._cluster.patch(CLAIMS, namespace, name, {"metadata": {"finalizers": finalizers or None}})

    def _set_phase(self, claim: Json, phase: str) -> None:
        if (claim.get("status") or {}).get("phase") != phase:
            namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
            self._cluster.patch(CLAIMS, namespace, name, {"status": {"phase": phase}}, subresource="status")

    def _class(self, claim: Json) -> Json:
        return self._cluster.find(STORAGE_CLASSES, "", claim["spec"]["storageClassName"]) or {}

    def _parameter(self, claim: Json, name: str) -> str:
        return str((self._class(claim).get("parameters") or {}).get(name) or "")

    def _policy(self, claim: Json) -> str:
        return str(self._class(claim).get("reclaimPolicy") or "Delete")


def _generated(prefix: str) -> str:
    return f"{prefix[:_PREFIX]}-{uuid.uuid4()}"


def _owned(claim: Json) -> Json:
    metadata = claim["metadata"]
    owner = {"apiVersion": CLAIMS.api_version, "kind": CLAIMS.kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": LABEL,
        "finalizers": [FINALIZER],
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }


def _encoded(data: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64encode(str(value).encode()).decode() for key, value in data.items()}
