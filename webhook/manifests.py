"""Manifests in YAML files: finding the pods and pod templates in them. Pure but for parsing text.

Documents that hold no pod pass through unchanged; comments and layout do not survive YAML.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from webhook.annotations import PlainLoader
from webhook.pods import Json

# Where the pod template of each kind is, and the labels that its controller would set.
_TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


class ManifestError(ValueError):
    """A file that is no YAML, or holds something that is no manifest."""


@dataclass(frozen=True, slots=True)
class Found:
    """One pod or template in a manifest; ``label`` names it for people: ``Deployment/web``."""

    label: str
    namespace: str  # empty when the manifest leaves it to kubectl
    pod: Json  # a template has the owner reference that its pods will have


def load(text: str) -> list[Any]:
    """The documents in ``text``; empty ones are left out.

    Raises:
        ManifestError: it is no YAML.
    """
    try:
        return [document for document in yaml.load_all(text, Loader=ManifestLoader) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"no valid YAML: {error}") from error


def dump(documents: list[Any]) -> str:
    """``documents`` as one YAML stream."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def found(document: Any) -> Iterator[Found]:
    """The pods and templates in ``document``, in order."""
    seen: list[Found] = []

    def look(one: Found) -> Json:
        seen.append(one)
        return one.pod

    rewrite(document, look)
    yield from seen


def rewrite(document: Any, change: Callable[[Found], Json]) -> Any:
    """A copy of ``document`` with every pod and template replaced by what ``change`` returns."""
    if not isinstance(document, dict):
        raise ManifestError("a document is no object")
    kind, result = document.get("kind"), copy.deepcopy(document)
    if isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list):
        result["items"] = [rewrite(item, change) for item in document["items"]]
    elif kind == "Pod":
        result = change(Found(f"Pod/{_name(document)}", _namespace(document), result))
    elif kind in _TEMPLATES:
        _rewrite_template(result, kind, change)
    return result


def _rewrite_template(owner: Json, kind: str, change: Callable[[Found], Json]) -> None:
    holder: Any = owner
    *path, last = _TEMPLATES[kind]
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or not isinstance(holder.get(last), dict):
        raise ManifestError(f"{kind}/{_name(owner)} has no pod template")
    pod = copy.deepcopy(holder[last])
    metadata = pod.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise ManifestError(f"{kind}/{_name(owner)}: the template's metadata is no object")
    # As its pods will have it; taken off again, since a template has no owner.
    metadata["ownerReferences"] = [{"kind": kind, "name": _name(owner), "controller": True}]
    changed = change(Found(f"{kind}/{_name(owner)}", _namespace(owner), pod))
    changed = {**changed, "metadata": {k: v for k, v in changed["metadata"].items() if k != "ownerReferences"}}
    if not changed["metadata"]:
        del changed["metadata"]
    holder[last] = changed


def _name(document: Json) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name") or metadata.get("generateName") or "") if isinstance(metadata, dict) else ""


def _namespace(document: Json) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""


class ManifestLoader(PlainLoader):
    """As annotations are read, but with aliases: manifests are the caller's own files."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Aliases are composed as YAML has them."""
        return yaml.SafeLoader.compose_node(self, parent, index)


class _Dumper(yaml.SafeDumper):
    """Lists indented as kubectl prints them; nothing is written as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
