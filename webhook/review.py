"""AdmissionReview JSON ↔ values. Pure; knows the envelope and nothing of what is decided.

What cannot be read becomes :class:`Malformed`, a sentence for the caller's 400, never an exception.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contract.options import shown

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
# Levels of a body. A pod has less than twenty; what is copied and compared level by level must not run out of stack.
DEEPEST: Final = 100
_TEXT_LIMIT: Final = 1024  # characters; Kubernetes' own names have 253 at most, and all of these are logged
_WARNING_LIMIT: Final = 256  # characters; the API server cuts longer warnings, and all of them beyond 4 KiB


@dataclass(frozen=True, slots=True)
class Review:
    """One question of the API server. ``object`` is raw; ``kind`` is ``group/version/Kind`` without an empty group."""

    uid: str
    kind: str
    namespace: str
    name: str
    operation: str
    subresource: str
    object: dict[str, Any]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """What was sent is no review; ``reason`` is a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a review. ``reason`` is one word, for metrics and the audit log; ``message`` is for people."""

    allowed: bool
    reason: str
    result: str  # injected, skipped, denied or error
    message: str = ""
    patch: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()


def decode(body: bytes) -> Review | Malformed:
    """The review in ``body``."""
    try:
        # As text: given bytes, json would take surrogates and UTF-16 too.
        envelope = json.loads(text := body.decode())
    except (ValueError, RecursionError) as error:
        return Malformed(f"the body is no JSON: {error}")
    if _deeper(envelope, DEEPEST):
        return Malformed(f"the body is nested more than {DEEPEST} levels deep")
    if "\\u" in text and not _writable(envelope):
        return Malformed("the body holds half of a surrogate pair, which is no text")
    if not isinstance(envelope, dict):
        return Malformed(f"an {KIND} object is needed")
    spoken = (envelope.get("apiVersion"), envelope.get("kind"))
    if spoken != (API_VERSION, KIND):
        return Malformed(f"only {KIND} of {API_VERSION} is spoken here, not {shown(spoken[1])} of {shown(spoken[0])}")
    request = envelope.get("request")
    if not isinstance(request, dict):
        return Malformed("request is missing")
    return _request(request)


def _deeper(node: Any, limit: int) -> bool:
    """Whether objects and lists stand in each other more than ``limit`` times, ``node`` being the first."""
    level = [node] if isinstance(node, dict | list) else []
    for _ in range(limit):
        children = (child for one in level for child in (one.values() if isinstance(one, dict) else one))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _writable(node: Any) -> bool:
    """Whether every text can be written as UTF-8: an escape such as ``\\ud800`` may stand for half a character."""
    try:
        json.dumps(node, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _request(request: Mapping[str, Any]) -> Review | Malformed:
    texts = {}
    for key in ("uid", "namespace", "name", "operation", "subResource"):
        value = request.get(key) or ""
        if not isinstance(value, str):
            return Malformed(f"request.{key} is no text")
        if len(value) > _TEXT_LIMIT:
            return Malformed(f"request.{key} is longer than {_TEXT_LIMIT} characters")
        texts[key] = value
    if not texts["uid"]:
        return Malformed("request.uid is missing")
    kind = request.get("kind")
    if not isinstance(kind, dict) or not isinstance(kind.get("kind"), str):
        return Malformed("request.kind is missing")
    subject = request.get("object")
    if subject is not None and not isinstance(subject, dict):
        return Malformed("request.object is no object")
    parts = (kind.get("group"), kind.get("version"), kind["kind"])
    return Review(
        uid=texts["uid"],
        kind="/".join(str(part) for part in parts if part),
        namespace=texts["namespace"],
        name=texts["name"],
        operation=texts["operation"],
        subresource=texts["subResource"],
        object=subject or {},
        dry_run=request.get("dryRun") is True,
    )


def encode(uid: str, answer: Answer) -> dict[str, Any]:
    """The AdmissionReview that carries ``answer`` back."""
    response: dict[str, Any] = {
        "uid": uid,
        "allowed": answer.allowed,
        "auditAnnotations": {"reason": answer.reason},
    }
    if answer.warnings:
        response["warnings"] = [_one_line(warning) for warning in answer.warnings]
    if not answer.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": answer.message}
    elif answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(answer.patch).encode()).decode()
    return {"apiVersion": API_VERSION, "kind": KIND, "response": response}


def _one_line(warning: str) -> str:
    text = " ".join(f"data-sync: {warning}".split())
    return text if len(text) <= _WARNING_LIMIT else text[: _WARNING_LIMIT - 1] + "…"
