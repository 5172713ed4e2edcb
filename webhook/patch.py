"""Two pods → the JSON Patch (RFC 6902) that turns the first into the second. Pure."""

from __future__ import annotations

from typing import Any

import jsonpatch

from webhook.pods import Json


def diff(before: Json, after: Json) -> list[dict[str, Any]]:
    """The operations that make ``after`` out of ``before``; none when they are equal."""
    operations: list[dict[str, Any]] = jsonpatch.make_patch(before, after).patch
    return operations


def apply(pod: Json, operations: list[dict[str, Any]]) -> Json:
    """``pod`` with ``operations`` applied, as the API server does it; the pod given stays as it was."""
    result: Json = jsonpatch.apply_patch(pod, operations, in_place=False)
    return result
