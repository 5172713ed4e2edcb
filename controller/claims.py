"""ObjectBucketClaims: what we ask for, whose a claim is, and how far it has come. Pure.

A claim has no owner reference on purpose: a device that is restored from a backup has a new UID, and
garbage collection would take claim and data. What is ours says so by a label.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from contract.names import CLAIM_KEPT, MANAGED_BY, MANAGED_BY_US
from controller.resources import CLAIMS, Json

KEPT: Final = "true"


class Phase(Enum):
    """How far a claim has come, as its provisioner says."""

    PENDING = "Pending"
    BOUND = "Bound"
    RELEASED = "Released"
    FAILED = "Failed"
    TERMINATING = "Terminating"


def manifest(namespace: str, device: str, storage_class: str) -> Json:
    """The claim of ``device``. The provisioner adds to its spec, so it is created and never written again."""
    return {
        "apiVersion": CLAIMS.api_version,
        "kind": CLAIMS.kind,
        "metadata": {"name": device, "namespace": namespace, "labels": {MANAGED_BY: MANAGED_BY_US}},
        "spec": {"storageClassName": storage_class, "generateBucketName": device},
    }


def phase(claim: Json) -> Phase:
    """The phase of ``claim``; one that its provisioner has not seen yet is pending."""
    if claim["metadata"].get("deletionTimestamp"):
        return Phase.TERMINATING
    said = (claim.get("status") or {}).get("phase")
    return next((one for one in Phase if one.value == said), Phase.PENDING)


def is_ours(claim: Json) -> bool:
    """Whether we made the claim, or were told that it is the device's."""
    return _labels(claim).get(MANAGED_BY) == MANAGED_BY_US


def is_kept(claim: Json) -> bool:
    """Whether it was left behind by a device that went."""
    return CLAIM_KEPT in _labels(claim)


def adoption(claim: Json) -> Json:
    """The patch that makes exactly this claim ours, and one that is in use."""
    return _relabelled(claim, {MANAGED_BY: MANAGED_BY_US, CLAIM_KEPT: None})


def retention(claim: Json) -> Json:
    """The patch that leaves exactly this claim behind, recognisably."""
    return _relabelled(claim, {CLAIM_KEPT: KEPT})


def bucket(claim: Json) -> str:
    """The bucket's name; empty until the provisioner has chosen it."""
    return str((claim.get("spec") or {}).get("bucketName") or "")


def storage_class(claim: Json) -> str:
    """The storage class that it was asked of."""
    return str((claim.get("spec") or {}).get("storageClassName") or "")


def _relabelled(claim: Json, labels: dict[str, str | None]) -> Json:
    return {"metadata": {"resourceVersion": claim["metadata"]["resourceVersion"], "labels": labels}}


def _labels(claim: Json) -> dict[str, str]:
    return claim["metadata"].get("labels") or {}
