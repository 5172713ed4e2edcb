"""What travels beside the content: options of the object, its content type, permissions; on the engine and on S3."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from contract.mapping import Direction, Mapping
from demo.s3server import S3Server
from sidecar.remote.store import SMALL_BODY, ObjectOptions
from sidecar.reporting.progress import Result
from sidecar.transfer.storing import META_MODE, mode_from, options_for
from sidecar.tree import ObjectKey
from tests.fakes.device import Device
from tests.walks.sidecar_process import SidecarProcess

OPTIONS: dict[str, Any] = {
    "storageClass": "STANDARD_IA",
    "encryption": "aws:kms",
    "kmsKeyId": "alias/edge",
    "tags": {"team": "edge"},
}
EXPECTED = {"storage_class": "STANDARD_IA", "encryption": "aws:kms", "kms_key_id": "alias/edge"}


@pytest.mark.parametrize("size", [3, SMALL_BODY + 1], ids=["one put", "multipart"])
def test_the_options_of_a_mapping_go_with_each_object(tmp_path: Path, size: int) -> None:
    with Device(tmp_path, egress=[{"source": "s", "target": "t", **OPTIONS}]) as device:
        device.write("s/a.csv", b"x" * size)
        assert device.egress().result is Result.OK
        stored = device.store.objects[ObjectKey("t/a.csv")]
        assert stored.options == ObjectOptions("text/csv", tags=(("team", "edge"),), **EXPECTED)


@pytest.mark.parametrize(
    ("wanted", "path", "expected"),
    [
        ("auto", "a/B.JSON", "application/json"),
        ("auto", "log.2026.tar.gz", "application/gzip"),
        ("auto", "page.html.gz", "application/gzip"),
        ("auto", ".csv", "text/csv"),
        ("auto", "data:text/html,x", "application/octet-stream"),
        ("auto", "a.csv/no-ending", "application/octet-stream"),
        ("none", "a.html", "application/octet-stream"),
        ("text/plain; charset=utf-8", "a.html", "text/plain; charset=utf-8"),
    ],
)
def test_the_content_type_is_guessed_by_the_name_unless_said(wanted: str, path: str, expected: str) -> None:
    mapping = Mapping(Direction.EGRESS, "s", "t", content_type=wanted)
    assert options_for(mapping, path).content_type == expected


def test_permissions_are_noted_when_asked_and_never_more_than_nine_bits(tmp_path: Path) -> None:
    with Device(tmp_path, egress=[{"source": "s", "target": "t", "mode": "keep"}]) as device:
        device.write("s/run", "x").chmod(0o6751)
        device.egress()
        assert device.store.objects[ObjectKey("t/run")].info.metadata[META_MODE] == "0751"


def test_permissions_are_not_noted_unasked(tmp_path: Path) -> None:
    with Device(tmp_path, egress=[{"source": "s", "target": "t"}]) as device:
        device.write("s/run", "x")
        device.egress()
        assert META_MODE not in device.store.objects[ObjectKey("t/run")].info.metadata


def mode_of(device: Device, path: str) -> int:
    return stat.S_IMODE((device.export / path).stat().st_mode)


def test_permissions_arrive_when_asked_for_and_nothing_runs_as_somebody_else(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=[{"source": "r", "target": "in", "mode": "keep"}]) as device:
        device.put("r/run", "x", {META_MODE: "0751"})
        device.put("r/root", "x", {META_MODE: "04755"})
        device.put("r/odd", "x", {META_MODE: "rwx"})
        device.ingress()
        plain = 0o666 & ~_umask()
        assert [mode_of(device, f"in/{name}") for name in ("run", "root", "odd")] == [0o751, 0o755, plain]
        device.put("r/run", "new", {META_MODE: "0600"})
        device.ingress()
        assert (mode_of(device, "in/run"), device.read("in/run")) == (0o600, "new")
        assert device.ingress().done == 0, "and then there is nothing left to do"


def test_permissions_of_metadata_are_nothing_unasked(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=[{"source": "r", "target": "in"}]) as device:
        device.put("r/run", "x", {META_MODE: "0777"})
        device.ingress()
        assert mode_of(device, "in/run") == 0o666 & ~_umask()


@pytest.mark.parametrize("text", ["", "7", "0o755", "٧٥٥", "-755", "999", "100000"])
def test_a_mode_that_makes_no_sense_is_none(text: str) -> None:
    assert mode_from(Mapping(Direction.INGRESS, "a", "b", mode="keep"), {META_MODE: text}) is None


def test_options_reach_a_real_server(tmp_path: Path, s3_server: S3Server) -> None:
    name = f"storing-{os.urandom(6).hex()}"
    s3_server.create_bucket(name)
    item = {"source": "s", "target": "t", "mode": "keep", "tags": {"team": "edge"}, "storageClass": "STANDARD_IA"}
    sidecar = SidecarProcess(tmp_path, egress=[item], files=s3_server.storage_files(name))
    (sidecar.export / "s").mkdir()
    (sidecar.export / "s/a.csv").write_text("1;2")
    (sidecar.export / "s/a.csv").chmod(0o640)
    assert sidecar.once() == 0
    client = s3_server.client()
    seen = client.head_object(Bucket=name, Key="t/a.csv")
    tags = client.get_object_tagging(Bucket=name, Key="t/a.csv")["TagSet"]
    s3_server.delete_bucket(name)
    assert (seen["ContentType"], seen["StorageClass"], seen["Metadata"][META_MODE]) == (
        "text/csv",
        "STANDARD_IA",
        "0640",
    )
    assert [(tag["Key"], tag["Value"]) for tag in tags] == [("team", "edge")]


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
