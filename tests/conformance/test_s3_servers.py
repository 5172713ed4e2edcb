"""What only real S3 servers can show: what an upload leaves behind on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.session import Session

from contract.storage import Credentials, Storage
from sidecar.errors import ChangedWhileReading
from sidecar.remote.attempt import once
from sidecar.remote.client import PATIENCE_SECONDS, STALL_SECONDS, Client
from sidecar.remote.credentials import key_source
from sidecar.remote.multipart import Upload
from sidecar.remote.orphans import uploads_of
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import ObjectOptions
from sidecar.tree import ObjectKey

KEY = ObjectKey("dir/large")


@pytest.fixture
def client(s3_storage: Storage, tmp_path: Path) -> Iterator[Any]:
    """The same bucket seen by botocore alone."""
    authority = tmp_path / "ca.pem"
    authority.write_text(s3_storage.ca_pem or "")
    client = Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_storage.endpoint,
        verify=str(authority) if s3_storage.ca_pem else None,
        aws_access_key_id=s3_storage.access_key_id,
        aws_secret_access_key=s3_storage.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


def refuse() -> None:
    raise ChangedWhileReading("read", KEY)


def test_an_upload_that_was_not_confirmed_leaves_no_parts_behind(s3_storage: Storage, client: Any) -> None:
    store = S3Store(s3_storage)
    with pytest.raises(ChangedWhileReading):
        store.put_large(KEY, 9 * 2**20, [b"x" * 9 * 2**20], {}, None, refuse)
    store.close()
    assert client.list_multipart_uploads(Bucket=s3_storage.bucket).get("Uploads", []) == []
    assert client.list_objects_v2(Bucket=s3_storage.bucket).get("Contents", []) == []


def test_a_copy_in_parts_that_is_ended_leaves_nothing_behind(
    s3_storage: Storage, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.remote.copying.RANGE", 5 * 2**20)
    store, beats = S3Store(s3_storage), itertools.count()
    etag = store.put_large(KEY, 11 * 2**20, [b"x" * 11 * 2**20], {}, None, lambda: None)

    def beat() -> None:
        if next(beats) == 2:
            refuse()

    with pytest.raises(ChangedWhileReading):
        store.copy_large(KEY, ObjectKey("copy"), etag, beat)
    store.close()
    assert client.list_multipart_uploads(Bucket=s3_storage.bucket).get("Uploads", []) == []
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=s3_storage.bucket)["Contents"]] == [KEY]


def test_a_copy_in_parts_looks_as_its_source_to_another_client(
    s3_storage: Storage, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.remote.copying.RANGE", 5 * 2**20)
    told = {"ContentType": "text/csv", "CacheControl": "no-store", "Metadata": {"whose": "a stranger's"}}
    client.put_object(Bucket=s3_storage.bucket, Key=KEY, Body=b"x" * 11 * 2**20, **told)
    store = S3Store(s3_storage)
    info = store.head(KEY)
    assert info is not None
    store.copy_large(KEY, ObjectKey("copy"), info.etag, lambda: None)
    store.close()
    seen = client.head_object(Bucket=s3_storage.bucket, Key="copy")
    assert {name: seen[name] for name in told} == told


def test_an_object_looks_the_same_to_another_client(s3_storage: Storage, client: Any) -> None:
    store = S3Store(s3_storage)
    etag = store.put(KEY, b"body", {"data-sync-writer": "me"})
    store.close()
    seen = client.get_object(Bucket=s3_storage.bucket, Key=KEY)
    assert seen["Body"].read() == b"body"
    assert seen["Metadata"] == {"data-sync-writer": "me"}
    assert seen["ETag"] == f'"{etag}"'
    assert seen["ContentType"] == "application/octet-stream"


def test_metadata_of_another_client_is_read_with_lower_case_names(s3_storage: Storage, client: Any) -> None:
    client.put_object(Bucket=s3_storage.bucket, Key=KEY, Body=b"x", Metadata={"Someones-Own": "Value"})
    store = S3Store(s3_storage)
    info = store.head(KEY)
    store.close()
    assert info is not None
    assert info.metadata == {"someones-own": "Value"}


@pytest.mark.parametrize("large", [False, True], ids=["one put", "multipart"])
def test_options_of_an_object_reach_the_server(s3_storage: Storage, client: Any, large: bool) -> None:
    options = ObjectOptions("text/csv", storage_class="STANDARD_IA", tags=(("team", "edge x"), ("a/b", "c=d+e")))
    store = S3Store(s3_storage)
    if large:
        store.put_large(KEY, 4, [b"body"], {"data-sync-writer": "me"}, None, lambda: None, options)
    else:
        store.put(KEY, b"body", {"data-sync-writer": "me"}, None, options)
    store.close()
    seen = client.head_object(Bucket=s3_storage.bucket, Key=KEY)
    tags = client.get_object_tagging(Bucket=s3_storage.bucket, Key=KEY)["TagSet"]
    assert (seen["ContentType"], seen["StorageClass"]) == ("text/csv", "STANDARD_IA")
    assert seen["Metadata"] == {"data-sync-writer": "me"}
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "edge x", "a/b": "c=d+e"}


def test_encryption_is_asked_of_the_server(moto_storage: Storage, moto_client: Any) -> None:
    store = S3Store(moto_storage)
    store.put(KEY, b"body", {}, None, ObjectOptions(encryption="aws:kms", kms_key_id="alias/edge"))
    seen = moto_client.head_object(Bucket=moto_storage.bucket, Key=KEY)
    assert (seen["ServerSideEncryption"], seen["SSEKMSKeyId"]) == ("aws:kms", "alias/edge")
    store.put(KEY, b"body", {}, None, ObjectOptions(encryption="AES256"))
    store.close()
    assert moto_client.head_object(Bucket=moto_storage.bucket, Key=KEY)["ServerSideEncryption"] == "AES256"


def test_uploads_of_one_key_are_listed_and_ended(s3_storage: Storage, client: Any) -> None:
    ids = {}
    for key in (KEY, f"{KEY}2", f"{KEY}/below", "a b+\u00fc%41"):
        ids[key] = client.create_multipart_upload(Bucket=s3_storage.bucket, Key=key)["UploadId"]
    source = key_source(s3_storage, Credentials.KEYS)
    ours = Client(s3_storage, source, lambda _operation, _code: None, STALL_SECONDS, PATIENCE_SECONDS)
    for key, upload_id in ids.items():
        assert [one.id for one in uploads_of(ours, ObjectKey(key))] == [upload_id]
        assert Upload(ours, once, ObjectKey(key), upload_id).abort()
        assert uploads_of(ours, ObjectKey(key)) == []
        assert Upload(ours, once, ObjectKey(key), upload_id).abort(), "one that is gone needs no second look"
    ours.close()
