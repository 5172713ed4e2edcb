"""The pod of the story: the documentation's ``os-stats``, and the resources that its annotations name.

Neighbours: ``story`` has it admitted and runs it.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from contract import names
from contract.storage import CONFIG_MAP_KEYS, SECRET_KEYS
from demo.facts import Json

POD = Path(__file__).resolve().parent.parent / "manifests/samples/pod-os-stats.yaml"


def load_pod() -> Json:
    """The pod as its author wrote it; ``DEMO_INTERVAL`` (``2s``) shortens the wait between cycles."""
    pod: Json = yaml.safe_load(POD.read_text())
    interval = os.environ.get("DEMO_INTERVAL")
    if interval:
        pod["metadata"]["annotations"][names.INTERVAL] = interval
    return pod


def storage_manifests(pod: Json, texts: dict[str, str]) -> tuple[Json, ...]:
    """The ConfigMap and the Secret that the pod's annotations name, with the server's keys in them."""
    annotations = pod["metadata"]["annotations"]
    return tuple(
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": annotations[annotation], "namespace": pod["metadata"]["namespace"]},
            place: {key: texts[key] for key in keys if key in texts},
        }
        for kind, annotation, place, keys in (
            ("ConfigMap", names.S3_CONFIG_MAP, "data", CONFIG_MAP_KEYS),
            ("Secret", names.S3_SECRET, "stringData", SECRET_KEYS),
        )
    )
