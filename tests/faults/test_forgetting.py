"""A server that forgets its last writes, though it had said yes to them: reconcile sends them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.forgetting import ForgetfulServer
from tests.walks.pair import EGRESS, INGRESS, Pair
from tests.walks.sidecar_process import SidecarProcess

BUCKET = "forgetful"
LARGE = 9 * 2**20  # bytes: goes by parts


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForgetfulServer]:
    (tmp_path / "s3").mkdir()
    with ForgetfulServer(tmp_path / "s3") as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


def body(name: str, version: int) -> bytes:
    size = LARGE if name.startswith("large") else 2_000
    return (f"{name} {version} ".encode() * (size // 5))[:size]


@pytest.mark.timeout(300)
def test_what_a_server_forgot_is_sent_again_and_what_it_forgot_of_others_stays_on_the_device(
    server: ForgetfulServer, tmp_path: Path
) -> None:
    sidecar = SidecarProcess(
        tmp_path,
        egress=EGRESS,
        ingress=INGRESS,
        files=server.storage_files(BUCKET),
        DATA_SYNC_INTERVAL="200ms",
        DATA_SYNC_RECONCILE_INTERVAL="2s",
    )
    old, new = ["a", "b/c", "large-old"], ["d", "b/e", "large-new"]
    with sidecar:
        both = Pair(sidecar, BUCKET, server.client())
        for name in old:
            both.write(name, body(name, 1))
            both.wait_sent(name, body(name, 1))
        server.remember()
        for name in old + new:
            both.write(name, body(name, 2))
        both.put("brought", b"by a stranger")
        for name in old + new:
            both.wait_sent(name, body(name, 2))
        both.wait_arrived("brought", b"by a stranger")
        sidecar.wait_for(lambda: sidecar.metric('pending_files{direction="egress"}') == 0, "all is recorded")

        server.lose_power()
        both.client = server.client()
        assert [both.sent(name) for name in old + new] == [body(name, 1) for name in old] + [None] * len(new)
        server.come_back()

        for name in old + new:
            both.wait_sent(name, body(name, 2))
        assert both.arrived("brought") == b"by a stranger", "what is missing in the bucket is not deleted here"
        assert not [key for key in both.all_keys() if ".conflict-" in key], "it knows its own older versions again"
        assert both.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
        assert sidecar.get("/livez")[0] == 200
