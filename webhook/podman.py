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
_NAMESPACE_FIELD: Final = "metadata.namespace"  # podman has none; the manifest's is written out instead
_FILLED_BY_PODMAN: Final = "metadata.name"


def with_classic_sidecar(pod: Json) -> Json:
    """A copy of ``pod`` that asks for a classic sidecar, whatever it asked for."""
    result = copy.deepcopy(pod)
    metadata = result.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), names.SIDECAR_MODE: "classic"}
    return result


def for_podman(pod: Json, resolution: Resolution) -> Json:
    """A copy of the injected ``pod`` without the volumes and annotations that podman refuses."""
    result = copy.deepcopy(pod)
    # Podman 4 refuses annotations of more than 63 characters; ours have done their work here.
    metadata = result["metadata"]
    ours = f"{names.PREFIX}/"
    metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if not k.startswith(ours)}
    body = result["spec"]
    body["volumes"] = [volume for volume in pods.volumes(result) if volume["name"] not in _GONE]
    if pods.init_containers(result):
        # Before podman 4.6 an init container is restarted for ever under Always (its issue 15631).
        body["restartPolicy"] = "OnFailure"
    for container in pods.all_containers(result):
        if container.get("name") in (names.SIDECAR_CONTAINER, names.INIT_CONTAINER):
            mounts = [mount for mount in container["volumeMounts"] if mount["name"] not in _GONE]
            container["volumeMounts"] = mounts
            container["env"] = list(_variables(container["env"], resolution))
    for container in pods.containers(result):
        if container.get("name") == names.SIDECAR_CONTAINER:
            container["env"] += _storage_variables(resolution)
    return result


def _variables(env: list[Json], resolution: Resolution) -> Iterator[Json]:
    for variable in env:
        field = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
        if "value" in variable:
            yield {**variable, "value": unescape(variable["value"])}
        elif field == _NAMESPACE_FIELD:
            yield {"name": variable["name"], "value": resolution.owner.namespace}
        elif field in (None, _FILLED_BY_PODMAN):
            yield variable


def _storage_variables(resolution: Resolution) -> Iterator[Json]:
    sources = (
        ("configMapKeyRef", resolution.spec.config_map, CONFIG_MAP_KEYS),
        ("secretKeyRef", resolution.spec.secret, SECRET_KEYS),
    )
    for kind, name, keys in sources:
        for key in keys:
            if name and key not in _FILES_ONLY:
                yield {"name": key, "valueFrom": {kind: {"name": name, "key": key, "optional": True}}}
