"""JSON merge patch, JSON patch, and as much of strategic merge patch as our programs and tests use."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch

from tests.fakes.cluster.failures import Refused, bad_request
from tests.fakes.cluster.resources import Json, ResourceType

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

# Field → the key by which the items of a list are merged; None merges plain values.
_MERGE_KEYS: dict[str, str | None] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "webhooks": "name",
    "ownerReferences": "uid",
    "finalizers": None,
}


def patched(kind: ResourceType, content_type: str, before: Json, patch: Any) -> Json:
    """``before`` with ``patch`` carried out."""
    if content_type == MERGE:
        return dict(_merged(before, patch))
    if content_type == JSON:
        return _json_patched(before, patch)
    if content_type == STRATEGIC and not kind.custom:
        return dict(_strategic(before, patch))
    raise Refused(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {content_type}")


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    after = copy.deepcopy(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        else:
            after[key] = _merged(after.get(key), value)
    return after


def _json_patched(before: Json, patch: Any) -> Json:
    try:
        after: Json = jsonpatch.apply_patch(before, patch)
        return after
    except jsonpatch.JsonPatchTestFailed as error:
        raise Refused(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise bad_request(str(error)) from error


def _strategic(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    after = copy.deepcopy(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, list) and key in _MERGE_KEYS:
            after[key] = _merged_list(after.get(key) or [], value, _MERGE_KEYS[key])
        else:
            after[key] = _strategic(after.get(key), value)
    return after


def _merged_list(before: list[Any], patch: list[Any], key: str | None) -> list[Any]:
    if key is None:
        return [*before, *(item for item in patch if item not in before)]
    after = list(before)
    for item in patch:
        place = next((place for place, one in enumerate(after) if one.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            after = [one for one in after if one.get(key) != item.get(key)]
        elif place is None:
            after.append(copy.deepcopy(item))
        else:
            after[place] = _strategic(after[place], item)
    return after
