"""Credentials without keys, on a real S3 server: by web identity and by EKS' agent; and no secret is ever shown."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from demo.s3server import S3Server
from tests.fakes.identity import SECRET_KEY, SESSION_TOKEN, Identity
from tests.walks.sidecar_process import SidecarProcess
from tests.walks.test_sidecar import STATS, Bucket, write

TOKEN = "projected-token-that-nobody-may-see"
WAYS: dict[str, Callable[[Identity], dict[str, str]]] = {
    "web identity": Identity.irsa,
    "EKS Pod Identity": Identity.pod_identity,
}
PAGES = ("/status", "/metrics", "/readyz", "/livez", "/")


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    bucket = Bucket(s3_server)
    yield bucket
    s3_server.delete_bucket(bucket.name)


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    """An S3 server that takes keys which it has not given out itself."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def client(moto_endpoint: str) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{moto_endpoint}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    yield client
    client.close()


@pytest.fixture
def files(moto_endpoint: str, client: Any) -> dict[str, str]:
    """The storage files of a fresh bucket, without keys."""
    name = f"keyless-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    host, _, port = moto_endpoint.partition(":")
    return {"BUCKET_NAME": name, "BUCKET_HOST": host, "BUCKET_PORT": port, "BUCKET_SCHEME": "http"}


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[Identity]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with Identity(token) as identity:
        yield identity


def keys(client: Any, files: dict[str, str]) -> list[str]:
    listed = client.list_objects_v2(Bucket=files["BUCKET_NAME"]).get("Contents", [])
    return [entry["Key"] for entry in listed]


def shown(sidecar: SidecarProcess) -> str:
    """All that the sidecar says to anybody: its pages and its log."""
    return "\n".join([sidecar.log.read_text(), *(sidecar.get(page)[1] for page in PAGES)])


def keyless(directory: Path, files: dict[str, str], variables: dict[str, str]) -> SidecarProcess:
    """A sidecar as the webhook makes it for ``chain``, and as others then give it an identity."""
    sidecar = SidecarProcess(directory, egress=STATS, files=files, DATA_SYNC_LOG_LEVEL="DEBUG")
    sidecar.env |= {"DATA_SYNC_CREDENTIALS": "chain", "AWS_EC2_METADATA_DISABLED": "true", **variables}
    return sidecar


PLANTED = (TOKEN, SESSION_TOKEN, SECRET_KEY)


@pytest.mark.parametrize("way", WAYS)
def test_files_arrive_and_no_secret_is_shown(
    tmp_path: Path, client: Any, files: dict[str, str], identity: Identity, way: str
) -> None:
    with keyless(tmp_path, files, WAYS[way](identity)) as sidecar:
        write(sidecar, "stats/a", "hello")
        sidecar.wait_for(lambda: keys(client, files) == ["statistics/a"], "it arrives")
        said = shown(sidecar)
        assert sidecar._process is not None
        sidecar._process.send_signal(signal.SIGABRT)  # a crash, at any moment
        sidecar._process.wait(30)
    said += sidecar.log.read_text()
    assert [secret for secret in PLANTED if secret in said] == []
    assert set(identity.asked) <= {"AssumeRoleWithWebIdentity", "agent"}
    assert identity.asked
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != identity.token_file]
    assert [path for path in left for secret in PLANTED if secret.encode() in path.read_bytes()] == []


def test_a_token_that_is_refused_is_told_without_being_shown(
    tmp_path: Path, client: Any, files: dict[str, str], identity: Identity
) -> None:
    wrong = tmp_path / "wrong-token"
    wrong.write_text("wrong-token-that-nobody-may-see")
    variables = {**identity.irsa(), "AWS_WEB_IDENTITY_TOKEN_FILE": str(wrong)}
    with keyless(tmp_path, files, variables) as sidecar:
        write(sidecar, "stats/a", "hello")
        sidecar.wait_for(lambda: "service account" in json.dumps(sidecar.status()), "it says why")
        said = shown(sidecar)
        assert "wrong-token-that-nobody-may-see" not in said
        # The token is rotated, as kubelet does: no restart is needed.
        wrong.write_text(TOKEN)
        sidecar.wait_for(lambda: keys(client, files) == ["statistics/a"], "it arrives")


def test_with_keys_no_secret_is_shown_either(tmp_path: Path, bucket: Bucket) -> None:
    known = [bucket.files["AWS_SECRET_ACCESS_KEY"], "wrong-secret-that-nobody-may-see"]
    wrong = {**bucket.files, "AWS_SECRET_ACCESS_KEY": known[1]}
    with SidecarProcess(tmp_path, egress=STATS, files=wrong, DATA_SYNC_LOG_LEVEL="DEBUG") as sidecar:
        write(sidecar, "stats/a", "hello")
        sidecar.wait_for(lambda: "access_denied" in json.dumps(sidecar.status()), "it says why")
        said = shown(sidecar)
        sidecar.set_storage(bucket.files)
        sidecar.wait_for(lambda: bucket.objects() == {"statistics/a": "hello"}, "it arrives")
        said += shown(sidecar)
    assert [secret for secret in known if secret in said] == []
