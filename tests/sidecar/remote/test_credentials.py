"""Whose keys sign: the storage's and nobody else's, or those of the default chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from contract.storage import Credentials
from sidecar.errors import AccessDenied
from sidecar.remote.credentials import Keys
from sidecar.remote.s3 import S3Store
from sidecar.tree import ObjectKey
from tests.fakes.faults import FaultServer, Reaction, Request, response

WAYS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put(ObjectKey("key"), b"body", {}),
    "list": lambda store: list(store.list("")),
    "odd head": lambda store: store.head(ObjectKey("no//path")),
    "copy": lambda store: store.copy(ObjectKey("a"), ObjectKey("b")),
}


def answer(request: Request) -> Reaction:
    if "list-type=2" in request.target:
        return response(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    if request.method == "HEAD":
        return response(200, ETag='"e"', Last_Modified="Sun, 22 Nov 2026 12:00:00 GMT")
    copied = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>" if "x-amz-copy-source" in request.headers else b""
    return response(200, copied, ETag='"e"')


def point(monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> None:
    """Have every variable by which S3 libraries find other keys or other servers lead to ``server``."""
    url = f"http://127.0.0.1:{server.port}"
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_METADATA_ENDPOINT",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.setenv(name, url)
    other = {
        "AWS_ACCESS_KEY_ID": "AKOTHER",
        "AWS_SECRET_ACCESS_KEY": "secret-other",
        "AWS_SESSION_TOKEN": "token-other",
        "AWS_PROFILE": "no-such-profile",
        "AWS_REGION": "eu-west-3",
        "AWS_DEFAULT_REGION": "eu-west-3",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_REQUEST_PAYER": "true",
        "AWS_S3_EXPRESS": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_BUCKET": "other",
    }
    for name, value in other.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("way", WAYS)
def test_with_keys_no_variable_and_no_metadata_service_has_a_say(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    with FaultServer(lambda _: response(500)) as elsewhere, FaultServer(answer) as server:
        point(monkeypatch, elsewhere)
        store = S3Store(server.storage())
        WAYS[way](store)
        store.close()
    assert elsewhere.requests == []
    (request,) = server.requests
    assert "Credential=AKGIVEN/" in request.headers["authorization"]
    assert "/us-east-1/s3/" in request.headers["authorization"]
    assert request.target.startswith("/bucket")
    assert "x-amz-security-token" not in request.headers
    assert "x-amz-request-payer" not in request.headers


@pytest.mark.parametrize("way", WAYS)
def test_with_the_chain_its_keys_sign_and_their_token_goes_along(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKCHAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-chain")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-chain")
    with FaultServer(answer) as server:
        store = S3Store(server.storage(), Credentials.CHAIN)
        WAYS[way](store)
        store.close()
    (request,) = server.requests
    assert "Credential=AKCHAIN/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "token-chain"


@pytest.mark.parametrize("way", WAYS)
def test_a_chain_without_keys_is_denied_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, way: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    empty = str(tmp_path_factory.mktemp("aws") / "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", empty)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", empty)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with FaultServer(answer) as server:
        store = S3Store(server.storage(), Credentials.CHAIN)
        with pytest.raises(AccessDenied):
            WAYS[way](store)
        store.close()
    assert server.requests == []


def test_a_session_token_of_the_storage_goes_along_everywhere() -> None:
    with FaultServer(answer) as server:
        store = S3Store(dataclasses.replace(server.storage(), session_token="token-given"))
        for act in WAYS.values():
            act(store)
        store.close()
    assert [request.headers.get("x-amz-security-token") for request in server.requests] == ["token-given"] * len(WAYS)


def test_keys_never_show_in_a_repr() -> None:
    assert "hidden" not in repr(Keys("AK", "hidden", "hidden"))


def test_a_virtual_hosted_bucket_is_part_of_the_host_and_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        storage = dataclasses.replace(proxy.storage(), host="s3.example", port=9000, virtual_hosted=True)
        store = S3Store(storage)
        for act in WAYS.values():
            act(store)
        store.close()
    targets = [request.target for request in proxy.requests]
    assert len(targets) == len(WAYS)
    assert all(target.startswith("http://bucket.s3.example:9000/") for target in targets), targets
    assert not any(target.startswith("http://bucket.s3.example:9000/bucket") for target in targets)
