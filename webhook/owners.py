"""Whose pod it is: annotation, controlling owner, or its own name → workload kind and name. Pure.

Names are checked here although the API server checks them too: it does so after admission, and this
one becomes a directory on the node.
"""

from __future__ import annotations

import re
from typing import Final

from contract.names import is_subdomain
from webhook import pods
from webhook.annotations import Options
from webhook.pods import Json

_HASH_LABEL: Final = "pod-template-hash"
_CRON_SUFFIX = re.compile(r"-\d{8,10}$")  # a CronJob names its Jobs after the minute they were due


def find(pod: Json, options: Options) -> tuple[str, str, str]:
    """Kind and name of the workload, and the rule that found them; the name is empty when none is usable.

    The kind goes into the directory's owner record, so it does not depend on whether an EdgeWorkload of
    that name exists yet.
    """
    if options.workload:
        return options.owner_kind or "Workload", options.workload, "annotation"
    owner = pods.controller(pod)
    if owner is not None:
        kind, name = _owner(pod, str(owner.get("kind", "")), str(owner.get("name", "")))
        return kind, _usable(name), "owner"
    name = pods.metadata(pod).get("name") or ""
    if name:
        return "Pod", _usable(name), "name"
    return "Pod", _usable((pods.metadata(pod).get("generateName") or "").rstrip("-.")), "generateName"


def _owner(pod: Json, kind: str, name: str) -> tuple[str, str]:
    if kind == "ReplicaSet":
        template_hash = pods.labels(pod).get(_HASH_LABEL)
        if template_hash and name.endswith(f"-{template_hash}"):
            return "Deployment", name.removesuffix(f"-{template_hash}")
    if kind == "Job" and _CRON_SUFFIX.search(name):
        return "CronJob", _CRON_SUFFIX.sub("", name)
    return kind, name


def _usable(name: str) -> str:
    return name if is_subdomain(name) else ""
