"""The embedded server starts and stops without a trace."""

from __future__ import annotations

import glob
import os
import socket
from pathlib import Path

import pytest

from demo import s3server
from demo.s3server import HOST, S3Server, ServerDidNotStart


def test_nothing_is_left_of_a_server_that_stopped() -> None:
    with S3Server() as server:
        server.create_bucket("some-bucket")
        directory, port = Path(server.log_file).parent, server.port
        assert server.storage("some-bucket").endpoint == server.endpoint
    assert not directory.exists()
    assert glob.glob(f"/tmp/seaweedfs-*-{port}.sock") == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3server, "_ATTEMPTS", 1)
    with socket.create_server((HOST, 0)) as taken:
        server = S3Server(directory=str(tmp_path), port=taken.getsockname()[1])
        with pytest.raises(ServerDidNotStart, match=r"(?s)log ends:.*\S"):
            server.start()
        assert server._process is None


def test_a_port_that_was_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    free_ports = s3server._free_ports
    tried: list[list[int]] = []
    with socket.create_server((HOST, 0)) as taken:

        def first_time_taken(count: int) -> list[int]:
            ports = free_ports(count)
            if not tried:
                ports[0] = taken.getsockname()[1]
            tried.append(ports)
            return ports

        monkeypatch.setattr(s3server, "_free_ports", first_time_taken)
        with S3Server() as server:
            assert server.port == tried[-1][0]
    assert len(tried) == 2


def test_a_server_found_again_on_its_port_has_its_data(tmp_path: Path) -> None:
    with S3Server(directory=str(tmp_path)) as server:
        server.create_bucket("kept-bucket")
        port = server.port
    again = S3Server(directory=str(tmp_path), port=port)
    with again:
        assert [bucket["Name"] for bucket in again.client().list_buckets()["Buckets"]] == ["kept-bucket"]
    assert os.path.isdir(tmp_path)
