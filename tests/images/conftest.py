"""The built images, once for all tests of this room; skipped where they cannot be built."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.building import PROGRAMS, base_image, build, download_wheels, podman


@pytest.fixture(scope="session", params=PROGRAMS)
def image(request: pytest.FixtureRequest, wheels: Path) -> str:
    """The program whose image was built, as ``data-sync-<program>:test``."""
    program: str = request.param
    result = build(program, wheels, f"data-sync-{program}:test")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return program


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the wheels of both images; skips where images cannot be built."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed: the images are neither built nor run")
    for program in PROGRAMS:
        base = base_image(program)
        if podman("image", "exists", base).returncode != 0:
            pytest.skip(f"the base image {base} is not at hand: the images are neither built nor run")
        tried = podman("run", "--rm", "--network=none", base, "python", "--version")
        if tried.returncode != 0:
            pytest.skip(f"podman cannot run the base image here: {tried.stderr.strip()}")
    directory = tmp_path_factory.mktemp("wheels")
    fault = download_wheels(directory)
    if fault is not None:
        pytest.skip(f"the wheels cannot be fetched: {fault}")
    yield directory
    for program in PROGRAMS:
        podman("rmi", "--force", f"data-sync-{program}:test")
