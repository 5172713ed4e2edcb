"""Uploads that a restart interrupts: what is remembered of them, gone on with, and ended."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from sidecar.errors import ChangedWhileReading, PreconditionFailed, Transient
from sidecar.remote.multipart import SMALLEST_PART
from sidecar.remote.s3 import S3Store
from sidecar.remote.store import META_SHA256, ObjectOptions
from sidecar.remote.uploads import FORGET_AFTER, Begun, Uploads
from sidecar.tree import ETag, ObjectKey
from tests.fakes.faults import FaultServer, Reaction, Request, refusal, response
from tests.fakes.parts import BytesParts

KEY = ObjectKey("dir/large")
BODY = b"".join(bytes([number]) * SMALLEST_PART for number in range(3)) + b"tail"
TOLD = {META_SHA256: "ab" * 32}


def test_what_is_begun_is_found_with_its_parts_after_a_restart(tmp_path: Path) -> None:
    uploads = Uploads(str(tmp_path / "uploads"), "http://s3/bucket")
    assert uploads.find(KEY) is None
    uploads.begin(Begun(KEY, "id-1", "content", 8))
    uploads.add(KEY, 2, '"two"')
    uploads.add(KEY, 1, '"one"')
    again = Uploads(str(tmp_path / "uploads"), "http://s3/bucket")
    assert again.find(KEY) == Begun(KEY, "id-1", "content", 8, {1: '"one"', 2: '"two"'})
    again.forget(KEY)
    assert uploads.find(KEY) is None


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_that_a_kill_cut_short_is_a_part_not_sent(tmp_path: Path, cut: int) -> None:
    uploads = Uploads(str(tmp_path), "place")
    uploads.begin(Begun(KEY, "id", "content", 8))
    uploads.add(KEY, 1, '"one"')
    uploads.add(KEY, 2, '"two"')
    (file,) = tmp_path.iterdir()
    os.truncate(file, file.stat().st_size - cut)
    found = uploads.find(KEY)
    assert found is not None
    assert found.parts in ({1: '"one"'}, {1: '"one"', 2: '"two"'})
    assert cut == 1 or 2 not in found.parts


@pytest.mark.parametrize("text", ["", "{}", "[]", "no JSON", '{"place": "place"}'])
def test_a_file_that_is_none_of_ours_is_no_upload(tmp_path: Path, text: str) -> None:
    uploads = Uploads(str(tmp_path), "place")
    uploads.begin(Begun(KEY, "id", "content", 8))
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert uploads.find(KEY) is None
    assert uploads.abandoned("", time.time() + 1) == []


def test_another_bucket_has_its_own(tmp_path: Path) -> None:
    Uploads(str(tmp_path), "one").begin(Begun(KEY, "id", "content", 8))
    other = Uploads(str(tmp_path), "other")
    assert other.find(KEY) is None
    assert other.abandoned("", time.time() + 1) == [], "it could not be ended there"
    (file,) = tmp_path.iterdir()
    os.utime(file, (1, time.time() - FORGET_AFTER - 1))
    other.abandoned("", time.time())
    assert list(tmp_path.iterdir()) == []


def test_abandoned_is_what_lies_below_and_nobody_works_on(tmp_path: Path) -> None:
    uploads = Uploads(str(tmp_path), "place")
    uploads.begin(Begun(KEY, "id", "content", 8))
    later = time.time() + 60
    assert [begun.key for begun in uploads.abandoned("dir/", later)] == [KEY]
    assert uploads.abandoned("elsewhere/", later) == []
    assert uploads.abandoned("dir/", time.time() - 60) == []
    with uploads.working_on(KEY):
        assert uploads.abandoned("dir/", later) == []


def test_a_directory_that_cannot_be_written_only_costs_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    uploads = Uploads(str(tmp_path / "file" / "uploads"), "place")
    uploads.begin(Begun(KEY, "id", "content", 8))
    uploads.add(KEY, 1, '"one"')
    uploads.forget(KEY)
    assert uploads.find(KEY) is None
    assert uploads.abandoned("", 0.0) == []


class Bucket:
    """Answers a multipart upload; ``trouble`` reacts first. Remembers what was done, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.trouble: dict[str, Reaction] = {}
        self.begun = 0

    def __call__(self, request: Request) -> Reaction:
        what = self._what(request)
        self.done.append(what)
        if what in self.trouble:
            return self.trouble[what]
        if what == "begin":
            self.begun += 1
            return response(200, f"<R><UploadId>up-{self.begun}</UploadId></R>".encode())
        if what == "head":
            return response(404)
        return response(200, b'<R><ETag>"whole"</ETag></R>', ETag=f'"{what}"')

    def _what(self, request: Request) -> str:
        part = re.search(r"partNumber=(\d+)", request.target)
        if part:
            return f"part {part[1]}"
        if request.target.endswith("?uploads="):
            return "begin"
        return {"POST": "complete", "DELETE": "abort", "HEAD": "head"}[request.method]


def send(server: FaultServer, state: Path, metadata: dict[str, str] = TOLD, body: bytes = BODY) -> ETag:
    store = S3Store(server.storage(), state_dir=str(state))
    try:
        return store.put_large(KEY, len(body), BytesParts(body), metadata, None, lambda: None)
    finally:
        store.close()


def interrupted(bucket: Bucket, server: FaultServer, state: Path, metadata: dict[str, str] = TOLD) -> None:
    """An upload whose third part cannot be sent."""
    bucket.trouble["part 3"] = refusal(500, "InternalError")
    with pytest.raises(Transient):
        send(server, state, metadata)
    assert "abort" not in bucket.done
    bucket.trouble.clear()
    bucket.done.clear()


def test_an_upload_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    bucket = Bucket()
    with FaultServer(bucket) as server:
        interrupted(bucket, server, tmp_path)
        assert send(server, tmp_path) == "whole"
        done = sorted(bucket.done)
    assert "begin" not in done
    assert "part 3" in done
    assert done[:1] == ["complete"]
    assert len(done) < 5, "no part was sent twice but those that were under way"
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("metadata", [{META_SHA256: "cd" * 32}, {**TOLD, "data-sync-mtime": "1.0"}])
def test_another_content_ends_the_old_upload_and_begins_its_own(tmp_path: Path, metadata: dict[str, str]) -> None:
    bucket = Bucket()
    with FaultServer(bucket) as server:
        interrupted(bucket, server, tmp_path)
        send(server, tmp_path, metadata)
    assert bucket.done[:2] == ["abort", "begin"]
    assert sorted(bucket.done[2:]) == ["complete", "part 1", "part 2", "part 3", "part 4"]


def test_a_body_whose_hash_is_not_told_is_never_gone_on_with(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.trouble["part 3"] = refusal(500, "InternalError")
    with FaultServer(bucket) as server, pytest.raises(Transient):
        send(server, tmp_path, {})
    assert bucket.done[-1] == "abort"
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("moment", ["part 3", "complete"])
def test_an_upload_that_the_server_forgot_is_forgotten_here_too(tmp_path: Path, moment: str) -> None:
    bucket = Bucket()
    with FaultServer(bucket) as server:
        interrupted(bucket, server, tmp_path)
        bucket.trouble[moment] = refusal(404, "NoSuchUpload")
        with pytest.raises(PreconditionFailed):  # whoever called looks what is there
            send(server, tmp_path)
        bucket.trouble.clear()
        assert send(server, tmp_path) == "whole"
    assert bucket.begun == 2


def test_a_completion_that_may_have_happened_is_tried_again_with_the_same_upload(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.trouble["complete"] = refusal(500, "InternalError")
    with FaultServer(bucket) as server:
        with pytest.raises(Transient):
            send(server, tmp_path)
        bucket.trouble.clear()
        bucket.done.clear()
        assert send(server, tmp_path) == "whole"
    assert bucket.done == ["complete"]


def test_a_completion_that_is_refused_ends_the_upload(tmp_path: Path) -> None:
    bucket = Bucket()
    bucket.trouble["complete"] = refusal(400, "InvalidPart")
    with FaultServer(bucket) as server, pytest.raises(Exception, match="InvalidPart"):
        send(server, tmp_path)
    assert bucket.done[-1] == "abort"
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_file_that_changed_ends_its_upload(tmp_path: Path) -> None:
    bucket = Bucket()

    def refuse() -> None:
        raise ChangedWhileReading("read", "large")

    with FaultServer(bucket) as server:
        store = S3Store(server.storage(), state_dir=str(tmp_path))
        with pytest.raises(ChangedWhileReading):
            store.put_large(KEY, len(BODY), BytesParts(BODY), TOLD, None, refuse, ObjectOptions())
        store.close()
    assert bucket.done[-1] == "abort"
    assert list((tmp_path / "uploads").iterdir()) == []


def test_only_what_our_own_state_names_is_ended(tmp_path: Path) -> None:
    bucket = Bucket()
    with FaultServer(bucket) as server:
        interrupted(bucket, server, tmp_path)
        store = S3Store(server.storage(), state_dir=str(tmp_path))
        store.end_abandoned("elsewhere/", time.time() + 60)
        assert bucket.done == []
        store.end_abandoned("dir/", time.time() + 60)
        store.end_abandoned("dir/", time.time() + 60)
        store.close()
        assert bucket.done == ["abort"]
        assert "uploadId=up-1" in server.requests[-1].target
