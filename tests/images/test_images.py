"""Both images, built and run with podman: who they run as, what is in them, and that it works read-only.

Skipped, visibly, where podman or the base image is not at hand: nothing is pulled. The wheels are
fetched outside and handed in, so that the build itself needs no network.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contract.storage import Storage
from demo.admission import admit
from demo.bucket import Bucket
from demo.runner import free_port
from demo.s3server import S3Server
from demo.sample import load_pod
from webhook.certificates import KeyPair, issue

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("sidecar", "webhook")
PYTHON = "3.13"  # of the base image
CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--user=12345", "--no-healthcheck")
MIB = 2**20

pytestmark = pytest.mark.timeout(600)


def podman(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=300)


def run(program: str, *words: str, options: tuple[str, ...] = ("--network=none",)) -> subprocess.CompletedProcess[str]:
    return podman("run", "--rm", *CONFINED, *options, f"data-sync-{program}:test", *words)


@contextmanager
def running(program: str, *options: str) -> Iterator[None]:
    """The program serving in a container; entered once its health check succeeds."""
    started = podman("run", "--detach", *CONFINED, *options, f"data-sync-{program}:test")
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    check = inspected(program)["Healthcheck"]["Test"]
    try:
        deadline = time.monotonic() + 30
        while (answer := podman("exec", container, *check[1:])).returncode != 0:
            assert time.monotonic() < deadline, answer.stderr + podman("logs", container).stderr
        yield
    finally:
        podman("rm", "--force", "--time=5", container)


def python(program: str, code: str) -> str:
    """What ``code`` prints inside the image."""
    result = run(program, "-c", code, options=("--network=none", "--entrypoint", "python"))
    assert result.returncode == 0, result.stderr
    return result.stdout


def base_image(program: str) -> str:
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / f"Dockerfile.{program}").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def download_wheels(directory: Path) -> str | None:
    """Fetch what both locks name for the base's Python; why not, or None."""
    architecture = platform.machine()
    platforms = [f"--platform=manylinux_2_{minor}_{architecture}" for minor in (17, 28, 34)]
    for program in PROGRAMS:
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms),
                *(f"--platform=manylinux2014_{architecture}", f"--dest={directory}"),
                f"--requirement={ROOT}/requirements/{program}.txt",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            return result.stderr[-500:]
    return None


@pytest.fixture(scope="module", params=PROGRAMS)
def image(request: pytest.FixtureRequest, wheels: Path) -> str:
    """The program whose image was built, as ``data-sync-<program>:test``."""
    program: str = request.param
    result = podman(
        *("build", "--pull=never", "--network=none", "--format=docker", f"--file=Dockerfile.{program}"),
        *(f"--build-context=wheels={wheels}", "--build-arg=PIP_NO_INDEX=1", "--build-arg=PIP_FIND_LINKS=/wheels"),
        *(f"--tag=data-sync-{program}:test", str(ROOT)),
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return program


@pytest.fixture(scope="module")
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


def inspected(program: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(podman("image", "inspect", f"data-sync-{program}:test").stdout)
    return found[0]


def test_it_says_who_it_is_and_runs_as_nobody_in_particular(image: str) -> None:
    config = inspected(image)["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", image]
    assert config["Labels"]["org.opencontainers.image.title"] == f"data-sync {image}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_holds_its_own_rooms_and_libraries_only(image: str) -> None:
    own = {
        "sidecar": ("sidecar", "boto3"),
        "webhook": ("webhook", "flask", "gunicorn", "yaml", "kopf"),
    }
    foreign = [name for program, names in own.items() if program != image for name in names]
    unwanted = [*foreign, "demo", "tests", "pip", "setuptools", "pytest"]
    asked = [*own[image], "contract", "runtime", *unwanted]
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {asked!r}))"
    assert python(image, code).split() == [*own[image], "contract", "runtime"]
    tools = "import shutil; print(*filter(shutil.which, ['pip', 'gcc', 'cc', 'make', 'git', 'curl']))"
    assert python(image, tools).split() == []


def test_it_helps_on_a_read_only_root_as_any_user(image: str) -> None:
    result = run(image, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: python -m {image}")


def test_its_modules_are_compiled_and_never_come_from_the_working_directory(image: str, tmp_path: Path) -> None:
    (tmp_path / "contract.py").write_text("raise SystemExit('taken from the working directory')")
    mount = ("--network=none", "--volume", f"{tmp_path}:/here:ro", "--workdir", "/here")
    assert run(image, "--help", options=mount).returncode == 0
    code = (
        "from pathlib import Path; from importlib.util import cache_from_source as c; "
        "print(*[p for p in Path('/app').rglob('*.py') if not Path(c(str(p))).exists()])"
    )
    assert python(image, code).split() == []


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_its_health_check_follows_its_health(image: str) -> None:
    check = inspected(image)["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert run(image, *check[2:], options=("--network=none", f"--entrypoint={check[1]}")).returncode == 1
    with running(image, "--network=none", "--tmpfs=/export:mode=1777"):
        pass  # entered once the check says that it is well


def test_it_adds_little_to_its_base(image: str) -> None:
    added = inspected(image)["Size"] - json.loads(podman("image", "inspect", base_image(image)).stdout)[0]["Size"]
    assert added < 50 * MIB


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_the_services_that_credentials_need_are_still_described(image: str) -> None:
    code = (
        "import boto3, botocore.session as s; "
        "print(*[boto3.client(n, region_name='us-east-1').meta.service_model.service_name"
        " for n in ('s3', 'sts', 'sso', 'sso-oidc')])"
    )
    assert python(image, code).split() == ["s3", "sts", "sso", "sso-oidc"]


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_the_sidecar_syncs_once_from_its_image(
    image: str, tmp_path: Path, s3_server: S3Server, storage: Storage
) -> None:
    export = tmp_path / "export"
    (export / "stats").mkdir(parents=True)
    (export / "stats" / "a.txt").write_text("from a container\n")
    for directory in (export, export / "stats"):
        directory.chmod(0o777)
    keys = [f"--env={key}={text}" for key, text in s3_server.storage_files(storage.bucket).items()]
    mappings = '--env=DATA_SYNC_EGRESS=[{"source": "stats", "target": "statistics"}]'
    result = run(image, "--once", options=("--network=host", "--volume", f"{export}:/export", mappings, *keys))
    assert result.returncode == 0, result.stderr
    bucket = Bucket(storage)
    try:
        assert bucket.contents("statistics/") == {"a.txt": b"from a container\n"}
    finally:
        bucket.close()


@pytest.mark.parametrize("image", ["webhook"], indirect=True)
def test_the_webhook_admits_from_its_image(image: str, tmp_path: Path, authority: KeyPair) -> None:
    leaf = issue(authority, ["localhost"], timedelta(hours=1))
    for name, content in (("tls.crt", leaf.certificate_pem), ("tls.key", leaf.key_pem)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    port = free_port()
    env = {
        "WEBHOOK_CATALOG": "none",
        "WEBHOOK_LISTEN": f"127.0.0.1:{port}",
        "WEBHOOK_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "WEBHOOK_TLS_CERT": "/tls/tls.crt",
        "WEBHOOK_TLS_KEY": "/tls/tls.key",
    }
    options = ["--network=host", f"--volume={tmp_path}:/tls:ro", *(f"--env={key}={text}" for key, text in env.items())]
    with running(image, *options):
        admitted = admit(load_pod(), "edge", port, authority.certificate_pem.decode())
    assert admitted.pod["spec"]["initContainers"][0]["name"] == "data-sync-init"
