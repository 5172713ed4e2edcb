"""Whose directory it is: the record, the lock, and what the init container does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.spec import Owner
from sidecar.errors import Misconfigured
from sidecar.state.ownership import ForeignDirectory, Lock, open_state, prepare

ONE = Owner("edge", "uid-1", "Deployment", "web")
OTHER = Owner("edge", "uid-2", "Deployment", "web")
STAMP = "20261122T101500Z"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")

RENAME = os.rename

HOLDER = """
import sys
from sidecar.state.ownership import Lock
lock = Lock(sys.argv[1])
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_the_id_is_made_once_and_kept(tmp_path: Path) -> None:
    first = open_state(str(tmp_path / "state"), ONE)
    assert open_state(str(tmp_path / "state"), ONE) == first
    assert first.owner == ONE
    assert oct(os.stat(tmp_path / "state").st_mode)[-3:] == "700"


def test_a_sidecar_refuses_the_directory_of_another(tmp_path: Path) -> None:
    open_state(str(tmp_path / "state"), ONE)
    with pytest.raises(ForeignDirectory, match=r"belongs to Deployment edge/web \(namespace UID uid-1\)"):
        open_state(str(tmp_path / "state"), OTHER)


def test_a_record_that_is_none_is_said_and_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("{")
    with pytest.raises(Misconfigured, match="remove it to go on"):
        open_state(str(tmp_path), ONE)
    assert (tmp_path / "owner").read_text() == "{"


def test_the_lock_is_exclusive_and_ends_with_its_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "True\n"
    lock = Lock(str(tmp_path))
    assert not lock.acquire()
    assert not lock.held
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert lock.acquire()
    assert lock.acquire(), "asking again changes nothing"
    lock.release()


def test_prepare_opens_the_top_to_everybody_and_hides_what_is_ours(tmp_path: Path) -> None:
    assert prepare(str(tmp_path), ONE, None, None, STAMP) is None
    assert oct(os.stat(tmp_path).st_mode)[-4:] == "1777"
    assert oct(os.stat(tmp_path / ".data-sync").st_mode)[-3:] == "700"


@root_only
def test_prepare_gives_the_top_to_the_pods_user_and_group_and_nothing_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir(mode=0o700)
    open_state(str(tmp_path / ".data-sync"), ONE)
    prepare(str(tmp_path), ONE, 1000, 2000, STAMP)
    top, below = os.stat(tmp_path), os.stat(tmp_path / "below")
    assert (top.st_uid, top.st_gid, oct(top.st_mode)[-4:]) == (1000, 2000, "2775")
    assert (below.st_uid, oct(below.st_mode)[-3:]) == (0, "700")
    ours = os.stat(tmp_path / ".data-sync/owner")
    assert ours.st_uid == 1000, "the sidecar runs as that user"


def test_the_same_owner_finds_its_files(tmp_path: Path) -> None:
    prepare(str(tmp_path), ONE, None, None, STAMP)
    (tmp_path / "file").write_text("kept")
    assert prepare(str(tmp_path), ONE, None, None, STAMP) is None
    assert (tmp_path / "file").read_text() == "kept"


def test_another_owners_files_are_set_aside_whole(tmp_path: Path) -> None:
    prepare(str(tmp_path), ONE, None, None, STAMP)
    before = open_state(str(tmp_path / ".data-sync"), ONE).id
    (tmp_path / "file").write_text("theirs")
    (tmp_path / ".data-sync/index").write_text("their index")
    aside = prepare(str(tmp_path), OTHER, None, None, STAMP)
    assert aside is not None
    assert Path(aside, "file").read_text() == "theirs"
    assert Path(aside, ".data-sync/index").read_text() == "their index"
    assert os.listdir(tmp_path) == [".data-sync"]
    record = open_state(str(tmp_path / ".data-sync"), OTHER)
    assert record.id != before, "objects of the other owner are not ours"


def test_a_directory_in_use_is_not_set_aside(tmp_path: Path) -> None:
    prepare(str(tmp_path), ONE, None, None, STAMP)
    (tmp_path / "file").write_text("theirs")
    lock = Lock(str(tmp_path / ".data-sync"))
    assert lock.acquire()
    with pytest.raises(ForeignDirectory, match="is still syncing it"):
        prepare(str(tmp_path), OTHER, None, None, STAMP)
    assert (tmp_path / "file").read_text() == "theirs"
    lock.release()


def test_setting_aside_can_be_killed_at_any_point_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    for at in range(1, 8):
        top = tmp_path / str(at)
        top.mkdir()
        prepare(str(top), ONE, None, None, STAMP)
        for name in "abc":
            (top / name).write_text(name)
        (top / ".data-sync/index").write_text("index")
        calls: list[tuple[str, ...]] = []

        def rename(*args: str, at: int = at, calls: list[tuple[str, ...]] = calls) -> None:
            calls.append(args)
            if len(calls) == at:
                raise Killed
            RENAME(*args)

        with monkeypatch.context() as patch:
            patch.setattr("sidecar.state.ownership.os.rename", rename)
            try:
                prepare(str(top), OTHER, None, None, STAMP)
            except Killed:
                assert json.loads((top / ".data-sync/owner").read_text())["owner"]["namespace_uid"] == "uid-1"
        prepare(str(top), OTHER, None, None, "20261122T101501Z")
        assert os.listdir(top) == [".data-sync"]
        kept = {path.name: path.read_text() for path in (top / ".data-sync/set-aside").rglob("*") if path.is_file()}
        assert kept == {"a": "a", "b": "b", "c": "c", "index": "index"}, f"killed at {at}"


@root_only
def test_init_as_a_command(tmp_path: Path) -> None:
    env = {**os.environ, "DATA_SYNC_OWNER": ONE.to_json(), "DATA_SYNC_EXPORT_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "sidecar", "init", "--uid", "1000", "--gid", "2000"]
    assert subprocess.run(command, env=env, check=False, capture_output=True).returncode == 0
    assert os.stat(tmp_path).st_uid == 1000
    lock = Lock(str(tmp_path / ".data-sync"))
    assert lock.acquire()
    env["DATA_SYNC_OWNER"] = OTHER.to_json()
    refused = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "is still syncing it" in refused.stderr
    lock.release()


@pytest.mark.parametrize("planted", ["a link inside", "a link outside", "a link to nothing", "a file"])
def test_what_an_application_planted_in_its_place_is_refused_and_left(tmp_path: Path, planted: str) -> None:
    export, outside = tmp_path / "export", tmp_path / "outside"
    (export / "inside").mkdir(parents=True)
    outside.mkdir()
    place = export / ".data-sync"
    match planted:
        case "a link inside":
            place.symlink_to("inside")
        case "a link outside":
            place.symlink_to(outside)
        case "a link to nothing":
            place.symlink_to(tmp_path / "nothing")
        case "a file":
            place.write_text("mine")
    for act in (
        lambda: prepare(str(export), ONE, None, None, "now"),
        lambda: open_state(str(place), ONE),
    ):
        with pytest.raises(Misconfigured, match="remove it to go on"):
            act()
    assert list(outside.iterdir()) == list((export / "inside").iterdir()) == []
    assert not (tmp_path / "nothing").exists()
