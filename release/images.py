"""Both container images, each with its bill of materials and a word on where its bytes go.

    python -m release.images [--builder podman] [--tag dev] [-- OPTION …]

Options after ``--`` go to the builder. The bill (CycloneDX JSON) is read out of the finished image by
syft: Debian's packages and Python's alike, not what a lock file promised. Times are those of the last
commit, so that two builds of one commit on one base hold the same layer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import runtime

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("webhook", "sidecar")
MB = 10**6


class Failed(Exception):
    """One step did not work; the message names it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, describe and weigh. Returns the exit status: 1 when a step failed."""
    parser = argparse.ArgumentParser(prog="python -m release.images", description="build both container images")
    parser.add_argument("--builder", default="podman", help="podman (default) or docker")
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "images", help="where the bills go")
    parser.add_argument("options", nargs="*", help="handed to the builder")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    try:
        for program in PROGRAMS:
            image = f"data-sync-{program}:{chosen.tag}"
            run(build_command(chosen.builder, program, image, chosen.options))
            archive = chosen.output / f"{program}.tar"
            try:
                run([chosen.builder, "save", "--output", str(archive), image])
                bill = chosen.output / f"{program}.cdx.json"
                write_bill(archive, bill)
                print("\n".join(report(image, archive, bill)))
            finally:
                archive.unlink(missing_ok=True)
    except Failed as fault:
        print(f"release.images: {fault}", file=sys.stderr)
        return 1
    return 0


def build_command(builder: str, program: str, image: str, options: Sequence[str]) -> list[str]:
    """The builder's command line; both builders are told the time of the last commit in their own way."""
    epoch, revision = commit()
    labels = [f"--build-arg=VERSION={runtime.VERSION}", f"--build-arg=REVISION={revision}"]
    # OCI's format, podman's default, has no health check.
    podman = Path(builder).name == "podman"
    own = ["--format=docker", f"--timestamp={epoch}"] if podman else [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
    return [builder, "build", f"--file=Dockerfile.{program}", f"--tag={image}", *labels, *own, *options, str(ROOT)]


def commit() -> tuple[int, str]:
    """Time (seconds since 1970) and name of the last commit; of a tree without git, 0 and ``unknown``."""
    words = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct %H"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return 0, "unknown"
    return int(found[0]), found[1]


def write_bill(archive: Path, bill: Path) -> None:
    """Read the saved image and write what it holds to ``bill``, as CycloneDX JSON."""
    syft = shutil.which("syft", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if syft is None:
        raise Failed("syft is not installed: pip install '.[images]'")
    quiet = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    run([syft, "scan", f"docker-archive:{archive}", "--quiet", "--output", f"cyclonedx-json={bill}"], quiet)


def report(image: str, archive: Path, bill: Path) -> Iterator[str]:
    """Lines for a person: what the image weighs, where, and how many packages the bill names."""
    sizes = weigh(archive)
    components = json.loads(bill.read_text())["components"]
    kinds = Counter(kind(component) for component in components)
    named = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()) if name)
    yield f"{image}: {sum(sizes.values()) / MB:.0f} MB unpacked; {bill.name} names {named}"
    for place, size in sizes.most_common(8):
        yield f"  {size / MB:6.1f} MB  /{place}"


def kind(component: dict[str, Any]) -> str:
    """``deb``, ``pypi``, … by the component's package URL; empty for what has none."""
    return str(component.get("purl", "")).removeprefix("pkg:").partition("/")[0]


def weigh(archive: Path) -> Counter[str]:
    """Bytes of all layers by the first three components of their paths."""
    sizes: Counter[str] = Counter()
    with tarfile.open(archive) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        for layer in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                for file in files:
                    sizes["/".join(file.name.removeprefix("./").split("/")[:3])] += file.size
    return sizes


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run a step, its output shown.

    Raises:
        Failed: it could not be started or ended with another status than 0.
    """
    try:
        subprocess.run(command, check=True, env=environment)
    except FileNotFoundError as fault:
        raise Failed(f"{command[0]} is not installed; name another builder with BUILDER=") from fault
    except subprocess.CalledProcessError as fault:
        raise Failed(f"{' '.join(command[:2])} ended with status {fault.returncode}") from fault


if __name__ == "__main__":
    raise SystemExit(main())
