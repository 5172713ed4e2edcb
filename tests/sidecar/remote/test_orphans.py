"""Uploads that were begun and of which nothing was noted: a kill, or a lost answer, in between."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contract.storage import Storage
from demo.s3server import S3Server
from sidecar.errors import AccessDenied, Transient
from sidecar.remote.attempt import Attempt, once
from sidecar.remote.orphans import ROUNDING, WINDOW, Orphan, ours
from sidecar.remote.s3 import S3Store
from sidecar.remote.uploads import FORGET_AFTER, Intent, Uploads
from tests.fakes.faults import FaultServer, Reaction, Request, Reset, refusal, response
from tests.fakes.parts import BytesParts
from tests.sidecar.remote.killed_upload import BODY, HASHED, KEY

POINTS = (
    "Uploads.intend before",
    "Uploads.intend after",
    "Sender._create after",  # the server has it, and nobody noted the id
    "Uploads.begin before",
    "Uploads.begin after",
    "Upload._part before",
    "Upload._part after",
    "Upload.complete before",
    "Upload.complete after",
    "Uploads.forget after",
)


def killed(storage: Storage, state: Path, point: str, *, hashed: bool) -> None:
    """An upload in a process of its own, which ends there."""
    asked = {"storage": dataclasses.asdict(storage), "state": str(state), "point": point, "hashed": hashed}
    command = [sys.executable, "-m", "tests.sidecar.remote.killed_upload"]
    done = subprocess.run(command, input=json.dumps(asked), text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def unfinished(server: S3Server, storage: Storage) -> list[Any]:
    listed: list[Any] = server.client().list_multipart_uploads(Bucket=storage.bucket).get("Uploads", [])
    return listed


def put(storage: Storage, state: Path, attempt: Attempt = once) -> None:
    store = S3Store(storage, attempt=attempt, state_dir=str(state))
    try:
        store.put_large(KEY, len(BODY), BytesParts(BODY), HASHED, None, lambda: None)
    finally:
        store.close()


def end_abandoned(storage: Storage, state: Path, prefix: str = "dir/") -> None:
    store = S3Store(storage, state_dir=str(state))
    store.end_abandoned(prefix, time.time() + 60)
    store.close()


@pytest.mark.parametrize("hashed", [True, False], ids=["resumable", "as it is"])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_no_upload_behind(
    s3_server: S3Server, storage: Storage, tmp_path: Path, point: str, hashed: bool
) -> None:
    killed(storage, tmp_path, point, hashed=hashed)
    end_abandoned(storage, tmp_path)  # its file is gone: nobody sends it again
    assert unfinished(s3_server, storage) == []
    assert list((tmp_path / "uploads").glob("*")) == []


@pytest.mark.parametrize("point", ["Sender._create after", "Upload._part after"])
def test_sending_again_after_a_kill_leaves_no_upload_behind(
    s3_server: S3Server, storage: Storage, tmp_path: Path, point: str
) -> None:
    killed(storage, tmp_path, point, hashed=True)
    put(storage, tmp_path)
    assert unfinished(s3_server, storage) == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_uploads_of_other_keys_are_left_alone(s3_server: S3Server, storage: Storage, tmp_path: Path) -> None:
    client = s3_server.client()
    killed(storage, tmp_path, "Uploads.begin before", hashed=True)
    others = (f"{KEY}/below", f"{KEY}2", "elsewhere")
    for key in others:
        client.create_multipart_upload(Bucket=storage.bucket, Key=key)
    end_abandoned(storage, tmp_path)
    assert sorted(upload["Key"] for upload in unfinished(s3_server, storage)) == sorted(others)
    for upload in unfinished(s3_server, storage):
        client.abort_multipart_upload(Bucket=storage.bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def test_only_what_was_begun_while_we_meant_to_is_ours() -> None:
    intent = Intent(KEY, 1000.0, 2000.0)
    moments = (1000 - ROUNDING - 1, 1000 - ROUNDING, 1500, 2000 + WINDOW, 2000 + WINDOW + 1)
    found = [Orphan(str(moment), moment) for moment in moments]
    assert ours(found, intent) == found[1:-1]


class Bucket:
    """Begins uploads and lists them with ``skew`` seconds added to its clock; ``listing`` answers in its place."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew
        self.open: dict[str, float] = {}  # id: when, by the server's clock
        self.done: list[str] = []
        self.lose = 0  # answers to beginning that never arrive
        self.listing: bytes | None = None
        self.beginning: bytes | None = None

    def __call__(self, request: Request) -> Reaction:
        if request.method == "DELETE":
            self.done.append("abort")
            self.open.pop(request.target.partition("uploadId=")[2])
            return response(204)
        if request.method == "GET":
            self.done.append("list")
            return self.listing or self._list()
        if request.target.endswith("?uploads="):
            return self._begin()
        if request.method == "POST":
            self.open.pop(request.target.partition("uploadId=")[2])
        return response(200, b'<R><ETag>"whole"</ETag></R>', ETag='"part"')

    def _begin(self) -> Reaction:
        self.done.append("begin")
        if self.beginning is not None:
            return self.beginning
        upload_id = f"up-{self.done.count('begin')}"
        self.open[upload_id] = time.time() + self.skew
        if self.lose:
            self.lose -= 1
            return Reset()
        return response(200, f"<R><UploadId>{upload_id}</UploadId></R>".encode())

    def _list(self) -> bytes:
        stamps = {name: datetime.fromtimestamp(when, UTC).isoformat() for name, when in self.open.items()}
        each = [
            f"<Upload><Key>{KEY}</Key><UploadId>{name}</UploadId><Initiated>{stamp}</Initiated>"
            f"<Owner><ID>no id</ID></Owner></Upload>"
            for name, stamp in stamps.items()
        ]
        now = datetime.fromtimestamp(time.time() + self.skew, UTC)
        date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return response(200, f"<R>{''.join(each)}</R>".encode(), Date=date)


@pytest.mark.parametrize("skew", [-800.0, 0.0, 800.0])
def test_an_answer_that_was_lost_is_looked_for_whatever_the_clocks(tmp_path: Path, skew: float) -> None:
    bucket = Bucket(skew)
    bucket.lose = 1
    with FaultServer(bucket) as server:
        with pytest.raises(Transient):
            put(server.storage(), tmp_path)
        bucket.open["strangers"] = time.time() + skew - 300  # begun before we meant to
        end_abandoned(server.storage(), tmp_path, "elsewhere/")
        assert bucket.done == ["begin"]
        end_abandoned(server.storage(), tmp_path)
        end_abandoned(server.storage(), tmp_path)
    assert bucket.done == ["begin", "list", "abort"]
    assert list(bucket.open) == ["strangers"]


def test_a_second_attempt_ends_what_the_first_one_began(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.lose = 1

    def twice(_operation: str, request: Any) -> Any:
        try:
            return request()
        except Transient:
            return request()

    with FaultServer(bucket) as server:
        put(server.storage(), tmp_path, twice)
    assert bucket.done == ["begin", "begin", "list", "abort"]
    assert bucket.open == {}


def test_what_is_worked_on_is_not_looked_for(tmp_path: Path) -> None:
    uploads = Uploads(str(tmp_path), "place")
    intent = uploads.intend(KEY)
    with uploads.working_on(KEY):
        assert uploads.intents("dir/", time.time() + 60) == []
    assert uploads.intents("dir/", time.time() + 60) == [intent]
    assert uploads.intents("dir/", intent.last - 60) == []
    assert uploads.intend(KEY).since == intent.since, "what an earlier one left is still to be looked for"


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (403, "AccessDenied")])
def test_a_server_that_lists_no_uploads_is_said_once_and_the_file_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket()
    bucket.lose = 1
    bucket.listing = refusal(status, code)
    with FaultServer(bucket) as server:
        with pytest.raises(Transient):
            put(server.storage(), tmp_path)
        store = S3Store(server.storage(), state_dir=str(tmp_path))
        for _ in range(3):
            store.end_abandoned("dir/", time.time() + 60)
        assert len(list((tmp_path / "uploads").iterdir())) == 1, "it is kept for a server that learns it"
        store.put_large(KEY, len(BODY), BytesParts(BODY), HASHED, None, lambda: None)
        store.close()
        assert [record.message for record in caplog.records] == ["uploads cannot be listed"]
        assert list((tmp_path / "uploads").iterdir()) == []
    uploads = Uploads(str(tmp_path), "place")
    uploads.intend(KEY)
    later = time.time() + FORGET_AFTER + 60
    monkeypatch.setattr("sidecar.remote.uploads.time.time", lambda: later)
    assert uploads.intents("", later) == [], "nor is it kept for ever"


@pytest.mark.parametrize("listing", [b"no XML", b"<R><Upload><Key>dir/large</Key></Upload></R>"])
def test_a_garbled_list_ends_nothing(tmp_path: Path, listing: bytes) -> None:
    bucket = Bucket()
    bucket.lose = 1
    bucket.listing = response(200, listing)
    with FaultServer(bucket) as server:
        with pytest.raises(Transient):
            put(server.storage(), tmp_path)
        end_abandoned(server.storage(), tmp_path)
    assert bucket.done == ["begin", "list"]
    assert len(list((tmp_path / "uploads").iterdir())) == 1


def test_a_beginning_that_is_refused_leaves_nothing_to_look_for(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.beginning = refusal(403, "AccessDenied")
    with FaultServer(bucket) as server, pytest.raises(AccessDenied):
        put(server.storage(), tmp_path)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_an_abort_that_did_not_arrive_is_tried_again(tmp_path: Path) -> None:
    aborts = iter([refusal(500, "InternalError")])
    bucket = Bucket()

    def react(request: Request) -> Reaction:
        first = next(aborts, None) if request.method == "DELETE" else None
        return first or bucket(request)

    with FaultServer(react) as server:
        store = S3Store(server.storage(), state_dir=str(tmp_path))
        with pytest.raises(OSError, match="unreadable"):
            store.put_large(KEY, 9, BytesParts(b"x" * 9), {}, None, unreadable)
        assert bucket.open != {}
        store.end_abandoned("dir/", time.time() + 60)
        store.close()
    assert bucket.open == {}
    assert list((tmp_path / "uploads").iterdir()) == []


def unreadable() -> None:
    raise OSError("unreadable")
