"""Names that users and other programs rely on: labels, annotations, containers, paths, ports.

Every constant is restated in ``docs/CONTRACT.md``; ``tests/test_docs.py`` keeps them equal.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

PREFIX: Final = "data-sync.project-flotta.io"

# The one label that decides.
INJECT: Final = f"{PREFIX}/inject"
ENABLED: Final = "enabled"
DISABLED: Final = "disabled"

# Annotations that configure, written by the workload's author.
EGRESS: Final = f"{PREFIX}/egress"
INGRESS: Final = f"{PREFIX}/ingress"
WORKLOAD: Final = f"{PREFIX}/workload"
OWNER_KIND: Final = f"{PREFIX}/owner-kind"
DEVICE: Final = f"{PREFIX}/device"
S3_CONFIG_MAP: Final = f"{PREFIX}/s3-config-map"
S3_SECRET: Final = f"{PREFIX}/s3-secret"
S3_CREDENTIALS: Final = f"{PREFIX}/s3-credentials"
INTERVAL: Final = f"{PREFIX}/interval"
EXPORT_SCOPE: Final = f"{PREFIX}/export-scope"
VOLUME: Final = f"{PREFIX}/volume"
WAIT_FOR_INGRESS: Final = f"{PREFIX}/wait-for-ingress"
SIDECAR_MODE: Final = f"{PREFIX}/sidecar-mode"

# Annotations the webhook writes.
MAPPINGS: Final = f"{PREFIX}/mappings"
STATUS: Final = f"{PREFIX}/status"

USER_ANNOTATIONS: Final = (
    EGRESS,
    INGRESS,
    WORKLOAD,
    OWNER_KIND,
    DEVICE,
    S3_CONFIG_MAP,
    S3_SECRET,
    S3_CREDENTIALS,
    INTERVAL,
    EXPORT_SCOPE,
    VOLUME,
    WAIT_FOR_INGRESS,
    SIDECAR_MODE,
)
WRITTEN_ANNOTATIONS: Final = (MAPPINGS, STATUS)

# Asked of the controller, on an EdgeWorkload or EdgeDevice.
DRAIN: Final = f"{PREFIX}/drain"
DRAIN_REQUESTED: Final = "requested"

# What the controller writes on other objects.
DEVICE_FINALIZER: Final = f"{PREFIX}/storage"  # on an EdgeDevice that has a claim to give back
WORKLOAD_FINALIZER: Final = f"{PREFIX}/pods"  # on an EdgeWorkload that has pods to end, and files of theirs to send
RUN: Final = f"{PREFIX}/run"  # begins the label of nodes that are to run an EdgeWorkload
TEMPLATE: Final = f"{PREFIX}/template"  # annotation of a DaemonSet of ours: hash of what we made it of
CLAIM_KEPT: Final = f"{PREFIX}/kept"  # label of an ObjectBucketClaim whose device went
MANAGED_BY: Final = "app.kubernetes.io/managed-by"  # label of an ObjectBucketClaim that is ours
MANAGED_BY_US: Final = "data-sync"

# What a pod gets.
SIDECAR_CONTAINER: Final = "data-sync"
INIT_CONTAINER: Final = "data-sync-init"
EXPORT_DIR: Final = "/export"
OWN_DIR: Final = ".data-sync"  # all that is ours on the exported volume lies below it
MASK_VOLUME: Final = "data-sync-mask"
STORAGE_VOLUME: Final = "data-sync-storage"
STORAGE_DIR: Final = "/etc/data-sync/storage"
CLAIM_DIR: Final = "claim"
EXTERNAL_DIR: Final = "external"
PODINFO_VOLUME: Final = "data-sync-podinfo"
PODINFO_DIR: Final = "/etc/data-sync/podinfo"
MAPPINGS_FILE: Final = "mappings"
NO_TOKEN_VOLUME: Final = "data-sync-no-token"  # noqa: S105 - a volume's name
SERVICE_ACCOUNT_DIR: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_ROOT: Final = "/var/local/yggdrasil/device/volumes"

PORT_NAME: Final = "data-sync-http"
PORT: Final = 9346

API_GROUP: Final = "management.project-flotta.io"
API_VERSION: Final = f"{API_GROUP}/v1alpha1"

DNS_LABEL_LIMIT: Final = 63
_SUBDOMAIN_LIMIT: Final = 253
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")


def is_dns_label(name: str) -> bool:
    """Whether ``name`` is one RFC 1123 label, as Kubernetes wants for volume and namespace names."""
    return len(name) <= DNS_LABEL_LIMIT and _DNS_LABEL.fullmatch(name) is not None


def is_subdomain(name: str) -> bool:
    """Whether ``name`` is an RFC 1123 subdomain: an object's name, and always one plain path component."""
    return len(name) <= _SUBDOMAIN_LIMIT and _SUBDOMAIN.fullmatch(name) is not None


def namespace_name(text: str) -> str:
    """``text``, which is to name a namespace.

    Raises:
        ValueError: it cannot.
    """
    if not is_dns_label(text):
        raise ValueError(f"{text!r} is no namespace's name")
    return text


def object_name(text: str) -> str:
    """``text``, which is to name an object of Kubernetes.

    Raises:
        ValueError: it cannot.
    """
    if not is_subdomain(text):
        raise ValueError(f"{text!r} is no name of a Kubernetes object")
    return text


def image_name(text: str) -> str:
    """``text``, which is to name a container image; only a registry knows whether it does.

    Raises:
        ValueError: there is space in it.
    """
    if re.search(r"\s", text):
        raise ValueError(f"{text!r} is no image's name")
    return text


def dns_label(name: str) -> str:
    """``name`` as one DNS label; a name that had to be altered ends in a hash of the original.

    The hash keeps two names apart that would otherwise become one (``a.b`` and ``a-b``,
    or two names equal in their first 63 characters).
    """
    if is_dns_label(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = re.sub(r"[^a-z0-9-]+", "-", name.lower())[: DNS_LABEL_LIMIT - len(digest) - 1].strip("-")
    return f"{kept}-{digest}" if kept else digest


def export_volume(workload: str) -> str:
    """Name of the volume behind ``/export`` of ``workload``: ``export-<workload>``, one DNS label."""
    return dns_label(f"export-{workload}")
