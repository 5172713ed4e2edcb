"""One row a trap: what is prepared on the device and in the bucket, and what must be there afterwards.

Every row runs on the same sidecar, in directories of its own. Traps that need another server, another
disk or another clock are elsewhere; docs/PROOFS.md says where.
"""

from __future__ import annotations

import mmap
import os
import shutil
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.proxy import Asked, Fault
from tests.faults.conftest import Battered


@dataclass(frozen=True, slots=True)
class Row:
    """``act`` gets the world and a name of its own; it waits for what must come and asserts what must not."""

    trap: str
    act: Callable[[Battered, str], None]


def special_files(world: Battered, name: str) -> None:
    world.write(f"{name}/good", b"good")
    top = world.out / name
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(top, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")  # the path itself may be longer than a socket's may be
        os.close(here)
    with suppress(PermissionError):  # not every root may
        os.mknod(top / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: endless when read
    world.write(f"{name}/zzz", b"good")
    world.wait_sent(f"{name}/good", b"good")
    world.wait_sent(f"{name}/zzz", b"good")
    world.sidecar.wait_cycles(2)
    assert world.all_keys(f"sent/{name}/") == [f"sent/{name}/good", f"sent/{name}/zzz"]


def links_out(world: Battered, name: str) -> None:
    secret = world.sidecar.export.parent / f"{name}-secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    world.write(f"{name}/good", b"good")
    (world.out / name / "file").symlink_to(secret / "key")
    (world.out / name / "directory").symlink_to(secret)
    (world.out / name / "loop").symlink_to(".")
    (world.out / name / "one").symlink_to("two")
    (world.out / name / "two").symlink_to("one")
    world.write(f"{name}/zzz", b"good")
    world.wait_sent(f"{name}/good", b"good")
    world.wait_sent(f"{name}/zzz", b"good")
    world.sidecar.wait_cycles(2)
    assert world.all_keys(f"sent/{name}/") == [f"sent/{name}/good", f"sent/{name}/zzz"]


def linked_parent(world: Battered, name: str) -> None:
    outside = world.sidecar.export.parent / f"{name}-outside"
    outside.mkdir()
    top = world.sidecar.export / "in" / name
    top.mkdir(parents=True)
    (top / "linked").symlink_to(outside)
    world.put(f"{name}/linked/file", b"never")
    world.put(f"{name}/zzz", b"good")
    world.wait_arrived(f"{name}/zzz", b"good")
    world.sidecar.wait_cycles(2)
    assert os.listdir(outside) == []


def parent_swapped_during_a_transfer(world: Battered, name: str) -> None:
    outside = world.sidecar.export.parent / f"{name}-outside"
    outside.mkdir()
    parent = world.sidecar.export / "in" / name / "parent"
    parent.mkdir(parents=True)

    def swap(asked: Asked) -> Fault | None:
        if asked.method == "GET" and asked.target.endswith(f"{name}/parent/file") and not parent.is_symlink():
            parent.rmdir()
            parent.symlink_to(outside)
        return None

    world.proxy.script = swap
    world.put(f"{name}/parent/file", b"body")
    world.sidecar.wait_for(parent.is_symlink, "the parent was swapped")
    world.sidecar.wait_cycles(3)
    world.proxy.calm()
    assert os.listdir(outside) == []
    parent.unlink()
    world.wait_arrived(f"{name}/parent/file", b"body")


def source_swapped_for_a_link(world: Battered, name: str) -> None:
    secret = world.sidecar.export.parent / f"{name}-secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    world.write(f"{name}/d/file", b"mine")
    world.wait_sent(f"{name}/d/file", b"mine")
    shutil.rmtree(world.out / name / "d")
    (world.out / name / "d").symlink_to(secret)
    world.sidecar.wait_cycles(3)
    assert world.sent(f"{name}/d/file") == b"mine"


def prefix_boundary(world: Battered, name: str) -> None:
    world.client.put_object(Bucket=world.bucket, Key=f"remotes/{name}", Body=b"never")
    world.client.put_object(Bucket=world.bucket, Key=f"remote-{name}", Body=b"never")
    world.put(f"{name}/good", b"good")
    world.wait_arrived(f"{name}/good", b"good")
    assert not [path for path in world.sidecar.export.rglob("*") if path.is_file() and path.read_bytes() == b"never"]


def changed_while_downloading(world: Battered, name: str) -> None:
    old, new = b"old" * 100_000, b"new" * 100_000
    world.put(f"{name}/object", old)

    def replace(asked: Asked) -> Fault | None:
        if asked.method == "GET" and asked.target.endswith(f"{name}/object") and "if-match" in asked.fields:
            world.put(f"{name}/object", new)
            world.proxy.calm()
        return None

    world.proxy.script = replace
    world.wait_arrived(f"{name}/object", new)


def echo(world: Battered, name: str) -> None:
    world.put(f"{name}/down", b"down")
    world.write(f"{name}/up", b"up")
    world.wait_arrived(f"{name}/down", b"down")
    world.wait_sent(f"{name}/up", b"up")
    world.sidecar.wait_cycles(2)
    moved = 'files_transferred_total{direction="egress"}', 'files_transferred_total{direction="ingress"}'
    before = [world.sidecar.metric(series) for series in moved]
    world.sidecar.wait_cycles(4)
    assert [world.sidecar.metric(series) for series in moved] == before
    assert not world.all_keys(f"sent/{name}/down")


def watcher_races(world: Battered, name: str) -> None:
    bodies = {}
    for number in range(20):  # a file in a directory that is younger than its watch can be
        deep = world.out / name / f"{number}/a/b/c"
        deep.mkdir(parents=True)
        (deep / "file").write_bytes(b"deep")
        bodies[f"{name}/{number}/a/b/c/file"] = b"deep"
    (world.out / name / "0").rename(world.out / name / "renamed")
    bodies[f"{name}/renamed/a/b/c/file"] = bodies.pop(f"{name}/0/a/b/c/file")
    elsewhere = world.sidecar.export / f"{name}-elsewhere"
    (elsewhere / "x").mkdir(parents=True)
    (elsewhere / "x/file").write_bytes(b"moved in")
    elsewhere.rename(world.out / name / "moved")
    bodies[f"{name}/moved/x/file"] = b"moved in"
    for path, body in bodies.items():
        world.wait_sent(path, body)
    (world.out / name / "moved/x/file").write_bytes(b"changed in its new place")
    world.wait_sent(f"{name}/moved/x/file", b"changed in its new place")


def mapped_write(world: Battered, name: str) -> None:
    world.write(f"{name}/mapped", b"a" * 8192)
    world.wait_sent(f"{name}/mapped", b"a" * 8192)
    with (world.out / name / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 0) as area:
        area[:4096] = b"b" * 4096
    world.wait_sent(f"{name}/mapped", b"b" * 4096 + b"a" * 4096)


def truncated_during_upload(world: Battered, name: str) -> None:
    path, stop = world.out / name / "changing", threading.Event()
    world.write(f"{name}/changing", b"begin")

    def change() -> None:
        while not stop.wait(0.001):
            path.write_bytes(b"x" * 300_000)
            os.truncate(path, 10)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        world.write(f"{name}/beside", b"quiet")
        world.wait_sent(f"{name}/beside", b"quiet")
        world.sidecar.wait_cycles(3)
    finally:
        stop.set()
        thread.join()
    path.write_bytes(b"the end")
    world.wait_sent(f"{name}/changing", b"the end")


def empty_mount(world: Battered, name: str) -> None:
    for number in range(5):
        world.write(f"{name}/{number}", b"kept")
    for number in range(5):
        world.wait_sent(f"{name}/{number}", b"kept")
    away = world.sidecar.export / f"{name}-away"
    (world.out / name).rename(away)
    (world.out / name).mkdir()
    world.sidecar.wait_cycles(3)
    assert len(world.all_keys(f"sent/{name}/")) == 5
    (world.out / name).rmdir()
    puts = world.sidecar.metric('s3_requests_total{code="200",operation="put"}')
    away.rename(world.out / name)
    world.sidecar.wait_cycles(3)
    assert world.sidecar.metric('s3_requests_total{code="200",operation="put"}') == puts, "nothing was forgotten"


def setuid(world: Battered, name: str) -> None:
    posing = {"mode": "04777", "data-sync-mode": "4777", "uid": "0", "gid": "0"}
    world.put(f"{name}/tool", b"#!/bin/sh", Metadata=posing)
    world.wait_arrived(f"{name}/tool", b"#!/bin/sh")
    status = (world.sidecar.export / "in" / name / "tool").stat()
    assert stat.S_IMODE(status.st_mode) & 0o7111 == 0
    assert status.st_uid == os.geteuid()


def sparse_and_hard_links(world: Battered, name: str) -> None:
    (world.out / name).mkdir(parents=True)
    beside = world.sidecar.export / f"{name}-sparse"
    with beside.open("wb") as file:
        file.seek(300_000)
        file.write(b"end")
    beside.rename(world.out / name / "sparse")
    world.write(f"{name}/one", b"linked")
    os.link(world.out / name / "one", world.out / name / "two")
    world.wait_sent(f"{name}/sparse", b"\0" * 300_000 + b"end")
    world.wait_sent(f"{name}/one", b"linked")
    world.wait_sent(f"{name}/two", b"linked")


def log_rotation(world: Battered, name: str) -> None:
    log = world.out / name / "app.log"
    world.write(f"{name}/app.log", b"first\n")
    for number in range(1, 4):
        with log.open("ab") as file:
            file.write(b"last words %d\n" % number)
        log.rename(log.with_name(f"app.log.{number}"))
        log.write_bytes(b"fresh %d\n" % number)
    world.wait_sent(f"{name}/app.log.1", b"first\nlast words 1\n")
    world.wait_sent(f"{name}/app.log.2", b"fresh 1\nlast words 2\n")
    world.wait_sent(f"{name}/app.log.3", b"fresh 2\nlast words 3\n")
    world.wait_sent(f"{name}/app.log", b"fresh 3\n")


def vanished_and_unreadable(world: Battered, name: str) -> None:
    for number in range(200):  # many of them gone by the time they are opened
        world.write(f"{name}/brief/{number}", b"x")
        (world.out / name / f"brief/{number}").unlink()
    world.write(f"{name}/zzz", b"good")
    world.wait_sent(f"{name}/zzz", b"good")


def no_trailing_checksums(world: Battered, name: str) -> None:
    seen: list[Asked] = []

    def look(asked: Asked) -> Fault | None:
        seen.append(asked)
        return None

    world.proxy.script = look
    world.write(f"{name}/small", b"x")
    world.write(f"{name}/large", b"x" * (9 * 2**20))
    world.wait_sent(f"{name}/small", b"x")
    world.wait_sent(f"{name}/large", b"x" * (9 * 2**20))
    world.proxy.calm()
    assert [asked for asked in seen if "x-amz-trailer" in asked.fields] == []
    assert [asked for asked in seen if "aws-chunked" in asked.fields.get("content-encoding", "")] == []


ROWS = [
    Row("Checksums", no_trailing_checksums),
    Row("Truncate during upload", truncated_during_upload),
    Row("FIFO, socket, device", special_files),
    Row("Symlinks: loops and ways out", links_out),
    Row("Symlinks: a linked parent", linked_parent),
    Row("Symlinks: a parent swapped during a transfer", parent_swapped_during_a_transfer),
    Row("Symlinks: a source swapped for a link", source_swapped_for_a_link),
    Row("Prefix boundary", prefix_boundary),
    Row("Object changed while being downloaded", changed_while_downloading),
    Row("Echo", echo),
    Row("inotify: directories younger than their watch, moved and renamed", watcher_races),
    Row("inotify: a write through mmap", mapped_write),
    Row("Vanished files", vanished_and_unreadable),
    Row("Empty mount", empty_mount),
    Row("Setuid bits", setuid),
    Row("Sparse and hard-linked files", sparse_and_hard_links),
    Row("Log rotation", log_rotation),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trap)
def test_trap(world: Battered, row: Row) -> None:
    try:
        row.act(world, Path(row.act.__name__).name.replace("_", "-"))
    finally:
        world.proxy.calm()
