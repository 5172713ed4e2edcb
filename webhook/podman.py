"""An injected pod → what ``podman kube play`` accepts. Pure.

Podman has no projected and no downward API volumes, and a native sidecar would keep it waiting for
ever. So: the sidecar is classic (decided before injection), the storage keys come as optional
variables, and edits of the ``mappings`` annotation are not followed. Podman hands the values of
variables on as they are, where kubelet expands ``$(NAME)``: what was escaped for kubelet is undone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Final

from contract import names
from contract.storage import CONFIG_MAP_KEYS, SECRET_KEYS
from webhook import pods
from webhook.containers import unescape
from webhook.pods import Json
from webhook.resolution import Resolution

_GONE: Final = frozenset({names.STORAGE_VOLUME, names.PODINFO_VOLUME, names.NO_TOKEN_VOLUME})
# A file by contract; a certificate as a variable would not be read.
_FILES_ONLY: Final = frozenset({"tls.crt"})
# Podman fills in no field but these two.
_KNOWN_FIELDS: Final = frozenset({"metadata.name", "metadata.namespace"})


def with_classic_sidecar(pod: Json) -> Json:
    """A copy of ``pod`` that asks for a classic sidecar, whatever it asked for."""
    result = copy.deepcopy(pod)
    metadata = result.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), names.SIDECAR_MODE: "classic"}
    return result


def for_podman(pod: Json, resolution: Resolution) -> Json:
    """A copy of the injected ``pod`` without the volumes that podman refuses."""
    result = copy.deepcopy(pod)
    body = result["spec"]
    body["volumes"] = [volume for volume in pods.volumes(result) if volume["name"] not in _GONE]
    for container in pods.all_containers(result):
        if container.get("name") in (names.SIDECAR_CONTAINER, names.INIT_CONTAINER):
            mounts = [mount for mount in container["volumeMounts"] if mount["name"] not in _GONE]
            container["volumeMounts"] = mounts
            container["env"] = [_unescaped(variable) for variable in container["env"] if _fillable(variable)]
    for container in pods.containers(result):
        if container.get("name") == names.SIDECAR_CONTAINER:
            container["env"] += _storage_variables(resolution)
    return result


def _fillable(variable: Json) -> bool:
    reference = (variable.get("valueFrom") or {}).get("fieldRef")
    return reference is None or reference.get("fieldPath") in _KNOWN_FIELDS


def _unescaped(variable: Json) -> Json:
    return {**variable, "value": unescape(variable["value"])} if "value" in variable else variable


def _storage_variables(resolution: Resolution) -> Iterator[Json]:
    sources = (
        ("configMapKeyRef", resolution.spec.config_map, CONFIG_MAP_KEYS),
        ("secretKeyRef", resolution.spec.secret, SECRET_KEYS),
    )
    for kind, name, keys in sources:
        for key in keys:
            if name and key not in _FILES_ONLY:
                yield {"name": key, "valueFrom": {kind: {"name": name, "key": key, "optional": True}}}
