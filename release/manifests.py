"""The chart → ``manifests/``: what a user without Helm applies, one file a template.

Only moves text: comments of the templates stay, what only Helm understands goes. What other kinds of
clusters need beside is :mod:`release.overlays`'.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from release.helm import NAMESPACE, OLDEST, Helm
from release.tools import ROOT

MANIFESTS: Final = ROOT / "manifests"
# Not for `kubectl apply`: what Helm runs by itself.
_HOOKS: Final = ("test-", "uninstall-")
_HELM_ONLY: Final = re.compile(r"^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
_SOURCE: Final = re.compile(r"^# Source: data-sync/templates/(\S+)$", re.MULTILINE)
MADE: Final = "# Rendered from charts/data-sync by `make manifests`; change the chart instead.\n"
_NAMESPACE: Final = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: flotta-data-sync
    # Our own pods need nothing; only the pods that are injected do, in their own namespaces.
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""


def render(helm: Helm) -> dict[Path, str]:
    """Every file that is made from the chart, by its path, with its text."""
    files = {MANIFESTS / name: text for name, text in split(helm.template(kubernetes=OLDEST)).items()}
    files[MANIFESTS / "namespace.yaml"] = MADE + _NAMESPACE
    files[MANIFESTS / "kustomization.yaml"] = kustomization(sorted(path.name for path in files))
    return files | _policies(helm)


def split(rendered: str) -> dict[str, str]:
    """Output of ``helm template`` → text by template's name, without hooks and Helm's own labels."""
    files: dict[str, str] = {}
    parts = _SOURCE.split(rendered)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        body = _HELM_ONLY.sub("", text.strip("\n").removesuffix("---").strip("\n"))
        if not name.startswith(_HOOKS) and any(yaml.safe_load_all(body)):
            files[name] = files[name] + f"---\n{body}\n" if name in files else f"{MADE}{body}\n"
    return files


def _policies(helm: Helm) -> dict[Path, str]:
    """For Kubernetes 1.30 and newer, where the policies exist: a kustomization beside the main one."""
    values = {"policies": {"injection": "Deny", "hostPath": "Deny", "template": "Warn"}}
    found = {name: text for name, text in split(helm.template(values)).items() if name.startswith("policy-")}
    directory = MANIFESTS / "policies"
    files = {directory / name: text for name, text in found.items()}
    files[directory / "kustomization.yaml"] = kustomization(sorted(found), namespace=False)
    return files


def kustomization(names: list[str], *, namespace: bool = True) -> str:
    """A kustomization of ``names``; what others live in comes first."""
    body: dict[str, Any] = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    if namespace:
        body["namespace"] = NAMESPACE
    body["resources"] = sorted(names, key=lambda name: (name != "namespace.yaml", not name.startswith("crd-"), name))
    return MADE + yaml.safe_dump(body, sort_keys=False)
