"""A real server that goes away in the middle of things and comes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from demo.s3server import S3Server
from sidecar.errors import Unreachable
from sidecar.remote.retry import Retry, RetryingStore, RetryPolicy
from sidecar.remote.s3 import S3Store
from sidecar.tree import ObjectKey


def test_a_server_that_dies_costs_a_few_attempts_and_is_found_again_when_it_is_back(tmp_path: Path) -> None:
    requests: list[tuple[str, str]] = []
    retry = Retry(RetryPolicy(base=0.01, cap=0.01), lambda _: False, lambda: 0.0, time.monotonic)
    with S3Server(directory=str(tmp_path)) as server:
        server.create_bucket("some-bucket")
        bucket = S3Store(
            server.storage("some-bucket"),
            attempt=retry.call,
            on_request=lambda operation, code: requests.append((operation, code)),
        )
        store = RetryingStore(bucket, retry)
        store.put(ObjectKey("before"), b"", {})
        port, keys = server.port, (server.access_key_id, server.secret_access_key)
    requests.clear()
    for _ in range(500):
        with pytest.raises(Unreachable):
            store.put(ObjectKey("during"), b"", {})
        with pytest.raises(Unreachable):
            list(store.list(""))
    assert len(requests) == 12
    assert {code for _, code in requests} == {"error"}

    again = S3Server(directory=str(tmp_path), port=port)
    again.access_key_id, again.secret_access_key = keys
    with again:
        store.new_cycle()
        assert [entry.key for entry in store.list("")] == ["before"]
        store.put(ObjectKey("after"), b"", {})
        assert [entry.key for entry in store.list("")] == ["after", "before"]
    bucket.close()
