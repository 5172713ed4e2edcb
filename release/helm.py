"""helm as a function: find it, render the chart, lint it.

The helm on PATH wins; else the one that ``make setup`` unpacked. Reading what was rendered is the
caller's.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from release.tools import ROOT, TOOLS

CHART: Final = ROOT / "charts" / "data-sync"
RELEASE: Final = "data-sync"
NAMESPACE: Final = "data-sync"
OLDEST: Final = "1.28.0"  # Kubernetes that the chart supports
NEWEST: Final = "1.37.0"


class HelmError(Exception):
    """helm refused; the message is helm's own."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One helm program."""

    path: str

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Output of ``helm arguments…``, given ``stdin``.

        Raises:
            HelmError: it ended with another code than 0.
        """
        done = subprocess.run([self.path, *arguments], check=False, capture_output=True, text=True, input=stdin)
        if done.returncode:
            raise HelmError((done.stderr + done.stdout).strip())
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        namespace: str = NAMESPACE,
        release: str = RELEASE,
        kubernetes: str = NEWEST,
        apis: Sequence[str] = (),
        show: str | None = None,
    ) -> str:
        """The chart rendered with ``values`` over its own, hooks and tests included.

        ``apis`` are API versions the cluster has beyond Kubernetes' own, ``show`` is one template.

        Raises:
            HelmError: schema or a template refused.
        """
        command = ["template", release, str(CHART), "--namespace", namespace, "--kube-version", kubernetes]
        command += [part for api in apis for part in ("--api-versions", api)]
        command += ["--show-only", show] if show else []
        return self.run(*command, "--values", "-", stdin=yaml.safe_dump(dict(values or {})))

    def lint(self, values: Mapping[str, Any] | None = None, kubernetes: str = NEWEST) -> str:
        """Warnings are errors.

        Raises:
            HelmError: the chart has a fault.
        """
        command = ["lint", str(CHART), "--strict", "--kube-version", kubernetes]
        return self.run(*command, "--values", "-", stdin=yaml.safe_dump(dict(values or {})))


def find() -> Helm | None:
    """The helm to use: PATH's, else the unpacked one of the newest major."""
    return next(iter(find_all()), None)


def find_all() -> list[Helm]:
    """One helm for each major version that is here, PATH's first."""
    found: dict[str, Helm] = {}
    for path in (shutil.which("helm"), TOOLS / "helm", TOOLS / "helm3"):
        if path is not None and Path(path).exists():
            helm = Helm(str(path))
            found.setdefault(helm.run("version", "--template", "{{.Version}}").partition(".")[0], helm)
    return list(found.values())


def kubectl() -> str | None:
    """Path of kubectl: PATH's, else the unpacked one."""
    unpacked = TOOLS / "kubectl"
    return shutil.which("kubectl") or (str(unpacked) if unpacked.exists() else None)
