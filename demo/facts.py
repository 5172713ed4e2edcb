"""What kubelet knows besides the pod: its node, and the ConfigMaps and Secrets of the namespace.

Pure. Neighbours: ``environment`` and ``volumes`` look things up here.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from demo.errors import NotRunnable

Json = dict[str, Any]

_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class Facts:
    """The node's name, and the manifests that the API server would hold for the pod's namespace."""

    node: str
    manifests: tuple[Json, ...] = ()

    def texts(self, kind: str, name: str) -> dict[str, str] | None:
        """The keys of the ConfigMap or Secret ``name`` with their texts, or None where there is none."""
        for manifest in self.manifests:
            if manifest["kind"] == kind and manifest["metadata"]["name"] == name:
                return _texts(manifest)
        return None

    def field(self, pod: Json, path: str) -> str:
        """The text that a ``fieldRef`` to ``path`` gives; an absent label or annotation is empty.

        Raises:
            NotRunnable: kubelet knows no such field, or the pod does not have it.
        """
        meta = pod.get("metadata") or {}
        keyed = _KEYED_FIELD.fullmatch(path)
        if keyed:
            return str((meta.get(keyed[1]) or {}).get(keyed[2], ""))
        known = {
            "metadata.name": meta.get("name"),
            "metadata.namespace": meta.get("namespace"),
            "metadata.uid": meta.get("uid"),
            "spec.nodeName": self.node,
            "spec.serviceAccountName": (pod.get("spec") or {}).get("serviceAccountName", "default"),
            "status.hostIP": "127.0.0.1",
            "status.podIP": "127.0.0.1",
        }
        if path not in known:
            raise NotRunnable(f"the field {path!r} is none that a pod can refer to")
        if not known[path]:
            raise NotRunnable(f"the pod has no {path}")
        return str(known[path])


def _texts(manifest: Json) -> dict[str, str]:
    texts = {str(key): str(text) for key, text in (manifest.get("data") or {}).items()}
    if manifest["kind"] == "Secret":
        texts = {key: base64.b64decode(text, validate=True).decode() for key, text in texts.items()}
    return texts | (manifest.get("stringData") or {})
