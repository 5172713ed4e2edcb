"""The API server's part of an admission: ask the webhook about a pod, and apply what it answers.

The request goes over TLS, the certificate verified against the authority alone, as with
``caBundle``. Neighbours: ``webhook`` starts who answers; ``runner`` runs the patched pod.
"""

from __future__ import annotations

import base64
import copy
import difflib
import http.client
import json
import ssl
import uuid
from dataclasses import dataclass
from typing import Any

import jsonpatch
import yaml

from demo.errors import NotAdmitted
from demo.facts import Json

_TIMEOUT = 10.0  # seconds; an API server's own limit for a webhook is 30


@dataclass(frozen=True, slots=True)
class Admitted:
    """The pod as it would be stored, how many operations the patch had, and what the webhook warns of."""

    pod: Json
    operations: int
    warnings: tuple[str, ...]


def review_of(pod: Json, namespace: str) -> Json:
    """The AdmissionReview that an API server sends when ``pod`` is created in ``namespace``."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod["metadata"].get("name", ""),
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "demo", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": None,
            "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    }


def admit(pod: Json, namespace: str, port: int, ca_pem: str) -> Admitted:
    """Have the webhook on loopback ``port`` admit ``pod``, and apply its patch.

    Raises:
        NotAdmitted: it says no, or answers what an API server would not take.
        OSError: it cannot be reached, or its certificate does not verify.
    """
    review = review_of(pod, namespace)
    status, body = _post(review, port, ca_pem)
    if status != http.client.OK:
        raise NotAdmitted(f"the webhook answered {status}: {body[:500].decode(errors='replace')}")
    return _apply(pod, review["request"]["uid"], json.loads(body))


def difference(before: Json, after: Json) -> list[str]:
    """The lines of a unified diff between the two pods as YAML."""
    old, new = (yaml.safe_dump(pod, sort_keys=False, width=110).splitlines() for pod in (before, after))
    return list(difflib.unified_diff(old, new, "pod as written", "pod as admitted", lineterm=""))


def _post(review: Json, port: int, ca_pem: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cadata=ca_pem)
    connection = http.client.HTTPSConnection("localhost", port, timeout=_TIMEOUT, context=context)
    try:
        connection.request("POST", "/mutate?timeout=10s", json.dumps(review), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _apply(pod: Json, uid: str, review: Any) -> Admitted:
    answer = review.get("response") or {}
    if (review.get("apiVersion"), review.get("kind")) != ("admission.k8s.io/v1", "AdmissionReview"):
        raise NotAdmitted(f"no AdmissionReview of v1 came back: {str(review)[:200]}")
    if answer.get("uid") != uid:
        raise NotAdmitted(f"the answer is for uid {answer.get('uid')!r}, not {uid!r}")
    if not answer.get("allowed"):
        raise NotAdmitted((answer.get("status") or {}).get("message") or "the webhook gives no reason")
    warnings = tuple(answer.get("warnings") or ())
    if "patch" not in answer:
        raise NotAdmitted("the webhook left the pod as it is: " + ("; ".join(warnings) or "it gives no reason"))
    if answer.get("patchType") != "JSONPatch":
        raise NotAdmitted(f"the patch is of type {answer.get('patchType')!r}, not JSONPatch")
    operations = json.loads(base64.b64decode(answer["patch"], validate=True))
    patched: Json = jsonpatch.apply_patch(copy.deepcopy(pod), operations)
    return Admitted(patched, len(operations), warnings)
