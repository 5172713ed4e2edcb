"""Both images, built and run with podman: who they run as, what is in them, and that it works read-only.

Skipped, visibly, where podman or the base image is not at hand: nothing is pulled. The wheels are
fetched outside and handed in, so that the build itself needs no network.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from contract.storage import Storage
from demo.admission import admit
from demo.bucket import Bucket
from demo.runner import free_port
from demo.s3server import S3Server
from demo.sample import load_pod
from tests.images.building import CONFINED, MB, base_image, build, inspected, podman, python, run, running
from webhook.certificates import KeyPair, issue

pytestmark = pytest.mark.timeout(600)


def test_it_says_who_it_is_and_runs_as_nobody_in_particular(image: str) -> None:
    config = inspected(image)["Config"]
    assert config["User"] == "65532:65532"
    held = ["env", "--block-signal=TERM"] if image == "sidecar" else []
    assert config["Entrypoint"] == [*held, "python", "-m", image]
    assert config["Labels"]["org.opencontainers.image.title"] == f"data-sync {image}"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_holds_its_own_rooms_and_libraries_only(image: str) -> None:
    own = {
        "sidecar": ("sidecar", "botocore"),
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


def test_it_is_small(image: str) -> None:
    own = inspected(image)["Size"]
    if image == "sidecar":  # one layer, trimmed: a device holds it
        assert own < 120 * MB
    else:
        assert own - json.loads(podman("image", "inspect", base_image(image)).stdout)[0]["Size"] < 200 * MB


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_two_builds_of_one_commit_hold_the_same_layer(image: str, wheels: Path) -> None:
    layers = []
    for number in range(2):
        tag = f"data-sync-{image}:again-{number}"
        result = build(image, wheels, tag, "--no-cache", "--timestamp=1000000000")
        assert result.returncode == 0, result.stderr[-3000:]
        layers.append(json.loads(podman("image", "inspect", tag).stdout)[0]["RootFS"]["Layers"])
        podman("rmi", "--force", tag)
    assert layers[0] == layers[1]
    assert len(layers[0]) == 1


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_as_the_first_process_it_ends_on_sigterm_with_status_0(image: str) -> None:
    options = ("--network=none", "--tmpfs=/export:mode=1777", f"data-sync-{image}:test")
    started = podman("run", "--detach", *CONFINED, *options)
    container = started.stdout.strip()
    try:
        check = inspected(image)["Healthcheck"]["Test"]
        deadline = time.monotonic() + 60
        while podman("exec", container, *check[1:]).returncode != 0:
            assert time.monotonic() < deadline, podman("logs", container).stderr
        assert podman("stop", "--time=60", container).returncode == 0
        assert json.loads(podman("inspect", container).stdout)[0]["State"]["ExitCode"] == 0
    finally:
        podman("rm", "--force", "--time=5", container)


@pytest.mark.parametrize("image", ["sidecar"], indirect=True)
def test_the_services_that_credentials_need_are_still_described(image: str) -> None:
    code = (
        "from botocore.session import Session; "
        "print(*[Session().create_client(n, region_name='us-east-1').meta.service_model.service_name"
        " for n in ('sts', 'sso', 'sso-oidc')])"
    )
    assert python(image, code).split() == ["sts", "sso", "sso-oidc"]


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
