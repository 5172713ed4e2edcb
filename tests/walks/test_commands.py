"""explain, verify and --dry-run as a person runs them: beside a sidecar or without one, on a real S3 server."""

from __future__ import annotations

import io
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from demo.s3server import S3Server
from sidecar.commands.bar import Bar
from sidecar.commands.parser import parse
from sidecar.program import _look
from sidecar.settings import Settings
from tests.walks.sidecar_process import SidecarProcess

EGRESS = [{"source": "out", "target": "t", "exclude": ["*.tmp"]}]
INGRESS = [{"source": "r", "target": "in"}]


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[tuple[Any, str]]:
    name = f"commands-{secrets.token_hex(6)}"
    s3_server.create_bucket(name)
    yield s3_server.client(), name
    s3_server.delete_bucket(name)


@pytest.fixture
def sidecar(tmp_path: Path, s3_server: S3Server, bucket: tuple[Any, str]) -> SidecarProcess:
    """One that is not started, with a file to send and an object to fetch."""
    client, name = bucket
    client.put_object(Bucket=name, Key="r/down", Body=b"from afar")
    sidecar = SidecarProcess(tmp_path, egress=EGRESS, ingress=INGRESS, files=s3_server.storage_files(name))
    (sidecar.export / "out").mkdir()
    (sidecar.export / "out/up").write_text("from here")
    (sidecar.export / "out/x.tmp").write_text("scratch")
    return sidecar


def run(sidecar: SidecarProcess, *words: str, **env: str) -> tuple[int, str]:
    """Exit code and what was printed, errors below."""
    command = [sys.executable, "-m", "sidecar", *words]
    done = subprocess.run(command, env={**sidecar.env, **env}, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def look(sidecar: SidecarProcess, *words: str, **env: str) -> tuple[int, str]:
    """As :func:`run`, without a process of its own: what these commands do is the same."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = _look(Settings.from_env({**sidecar.env, **env}), parse(list(words)))
    return code, out.getvalue()


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its inode and content."""
    return {str(path): (path.stat().st_ino, path.read_bytes()) for path in directory.rglob("*") if path.is_file()}


def test_a_dry_run_says_what_a_cycle_would_do_and_does_nothing(
    sidecar: SidecarProcess, bucket: tuple[Any, str]
) -> None:
    before = tree(sidecar.export)
    code, text = run(sidecar, "--once", "--dry-run")
    assert code == 0, text
    assert "egress out → t: upload up → t/up (9 bytes)" in text
    assert "ingress r → in: download r/down (9 bytes) → down" in text
    assert "x.tmp" not in text
    assert "2 files would be looked at or moved" in text
    assert tree(sidecar.export) == before, "not even a state directory was made"
    assert [entry["Key"] for entry in bucket[0].list_objects_v2(Bucket=bucket[1])["Contents"]] == ["r/down"]
    assert sidecar.once() == 0
    code, text = run(sidecar, "--once", "--dry-run")
    assert (code, text) == (0, "0 files would be looked at or moved\n")


def test_a_dry_run_shows_removals_and_what_holds_them_back(
    tmp_path: Path, s3_server: S3Server, bucket: tuple[Any, str]
) -> None:
    files = s3_server.storage_files(bucket[1])
    sidecar = SidecarProcess(tmp_path, egress=[{"source": "out", "target": "t", "delete": True}], files=files)
    (sidecar.export / "out").mkdir()
    for name in "abc":
        (sidecar.export / "out" / name).write_text(name)
    assert sidecar.once() == 0
    (sidecar.export / "out/a").unlink()
    assert "remove a there, if it is still as it was agreed" in run(sidecar, "--once", "--dry-run")[1]
    for name in "bc":
        (sidecar.export / "out" / name).unlink()
    assert "nothing is removed: not one file is there" in run(sidecar, "--once", "--dry-run")[1]


def test_verify_finds_every_kind_of_difference(sidecar: SidecarProcess, bucket: tuple[Any, str]) -> None:
    client, name = bucket
    assert sidecar.once() == 0
    assert run(sidecar, "verify") == (0, "2 files compared, 0 differences\n")
    assert look(sidecar, "verify", "--bodies")[0] == 0
    client.put_object(Bucket=name, Key="t/up", Body=b"FROM HERE")  # as long, and other
    client.put_object(Bucket=name, Key="t/extra", Body=b"x")
    client.put_object(Bucket=name, Key="t/extra.conflict-20260101T000000Z", Body=b"x")
    client.put_object(Bucket=name, Key="r/new", Body=b"x")
    (sidecar.export / "in/down").write_text("shorter")
    (sidecar.export / "out/later").write_text("x")
    code, text = look(sidecar, "verify")
    assert code == 1
    assert sorted(text.splitlines()) == [
        "2 files compared, 5 differences",
        "egress out → t: extra: only in the bucket",
        "egress out → t: later: only on the device",
        "egress out → t: up: same size, other content",
        "ingress r → in: down: 7 bytes on the device, 9 in the bucket",
        "ingress r → in: new: only in the bucket",
    ]
    assert "extra" not in look(sidecar, "verify", "--one-way")[1]


def test_verify_reads_the_body_where_metadata_only_claims(sidecar: SidecarProcess, bucket: tuple[Any, str]) -> None:
    client, name = bucket
    assert sidecar.once() == 0
    metadata = client.head_object(Bucket=name, Key="t/up")["Metadata"]
    client.put_object(Bucket=name, Key="t/up", Body=b"FROM HERE", Metadata={**metadata, "data-sync-writer": "other"})
    assert "other content" in look(sidecar, "verify")[1], "another writer's hash is not believed"
    client.put_object(Bucket=name, Key="t/up", Body=b"FROM HERE", Metadata=metadata)
    assert look(sidecar, "verify")[0] == 0, "what carries our id and our hash is taken for ours"
    assert "other content" in look(sidecar, "verify", "--bodies")[1], "and this reads it all the same"


def test_explain_says_why(sidecar: SidecarProcess, bucket: tuple[Any, str]) -> None:
    code, text = look(sidecar, "explain", "out/up")
    assert code == 1
    assert "waits to be sent: it was never sent" in text
    assert sidecar.once() == 0
    code, text = look(sidecar, "explain", str(sidecar.export / "out/up"))
    assert code == 0, text
    assert "mapping  egress out → t" in text
    assert "object   t/up" in text
    assert "in sync" in text
    code, text = look(sidecar, "explain", "/export/out/up", "--remote")
    assert (code, "by this directory" in text) == (0, True)
    assert "the pattern '*.tmp' in 'exclude' of the mapping matches it" in look(sidecar, "explain", "out/x.tmp")[1]
    assert "no mapping has it" in look(sidecar, "explain", "elsewhere/a")[1]
    assert "is not below" in look(sidecar, "explain", "/etc/passwd")[1]
    assert "is not below" in look(sidecar, "explain", "out/../../etc")[1]
    (sidecar.export / "out/up").write_text("changed")
    assert "it changed since it was sent" in look(sidecar, "explain", "out/up")[1]
    (sidecar.export / "out/link").symlink_to("up")
    assert "it is a symbolic link" in look(sidecar, "explain", "out/link")[1]
    code, text = look(sidecar, "explain", "in/down")
    assert (code, "in sync" in text) == (0, True)
    bucket[0].put_object(Bucket=bucket[1], Key="r/down", Body=b"newer")
    assert look(sidecar, "explain", "in/down", "--remote")[0] == 1


def test_beside_a_running_sidecar_nothing_is_disturbed(sidecar: SidecarProcess) -> None:
    with sidecar:
        sidecar.wait_for((sidecar.export / "in/down").exists, "the object came")
        sidecar.wait_for(lambda: sidecar.get("/readyz")[0] == 200, "it is ready")
        listen = f"127.0.0.1:{sidecar._port}"
        for words in (["verify"], ["explain", "out/up"], ["--once", "--dry-run"]):
            code, text = run(sidecar, *words, DATA_SYNC_LISTEN=listen)
            assert code == 0, text
        sidecar.wait_cycles()
        assert sidecar.metric("lock_held") == 1
        assert sidecar.stop()[0] == 0


def test_explain_repeats_what_the_running_sidecar_says_of_the_name(
    sidecar: SidecarProcess, s3_server: S3Server
) -> None:
    sidecar.set_storage({**s3_server.storage_files("there-is-no-such-bucket-here")})
    with sidecar:
        sidecar.wait_for(lambda: bool(sidecar.status()["mappings"][0]["failures"]), "it says so")
        listen = f"127.0.0.1:{sidecar._port}"
        code, text = run(sidecar, "explain", "out/up", DATA_SYNC_LISTEN=listen)
        assert (code, "pending" in text, "Create the bucket" in text) == (1, True, True), text


@pytest.mark.parametrize(
    ("words", "env", "code", "said"),
    [
        (["verify"], {"DATA_SYNC_STORAGE_DIR": "/nowhere"}, 2, "Missing field BUCKET_NAME"),
        (["verify"], {"DATA_SYNC_EGRESS": "[{]"}, 2, "DATA_SYNC_EGRESS: no valid JSON"),
        (["--dry-run"], {}, 2, "--dry-run goes with --once"),
        (["--once", "verify"], {}, 2, "are two commands"),
        (["explain"], {}, 2, "PATH"),
        (["verify"], {"DATA_SYNC_EXPORT_DIR": "/nowhere"}, 1, "/nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_and_ends_with_its_code(
    sidecar: SidecarProcess, words: list[str], env: dict[str, str], code: int, said: str
) -> None:
    got, text = run(sidecar, *words, **env)
    assert (got, said in text) == (code, True), text


def test_a_server_that_is_down_is_a_difference_and_no_crash(sidecar: SidecarProcess) -> None:
    sidecar.set_storage({
        "BUCKET_NAME": "bucket", "BUCKET_HOST": "127.0.0.1", "BUCKET_PORT": "9", "BUCKET_SCHEME": "http",
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s",
    })  # fmt: skip
    code, text = run(sidecar, "verify")
    assert (code, "not compared to the end" in text, "Traceback" in text) == (1, True, False), text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_leaves_nothing_behind() -> None:
    times = iter([0.0, 0.01, 1.0])
    terminal = Terminal()
    bar = Bar(terminal, 4, lambda: next(times))
    for done in (1, 2, 4):
        bar.show(done, "compared")
    assert "2/4" not in terminal.getvalue(), "not at every step"
    assert f"[{'#' * 30}] 4/4 compared" in terminal.getvalue()
    bar.clear()
    assert terminal.getvalue().endswith(" \r")


def test_no_bar_in_a_file() -> None:
    file = io.StringIO()
    bar = Bar(file, 0)
    bar.show(1, "compared")
    bar.clear()
    assert file.getvalue() == ""
