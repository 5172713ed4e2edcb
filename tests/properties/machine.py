"""Any order of acts on both sides, kills and failures at any of our calls, and a model that says what must be left.

The engine, the index and the disk are real; the store is the fake, whose promises ``conformance`` holds to
those of real servers, or the adapter before a real server. What the workload or a stranger wrote last must be
on both sides at the end, and what one of them wrote and only we replaced must be there under another name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from demo.s3server import S3Server
from sidecar.errors import SyncError, Unreachable
from sidecar.local import staging
from sidecar.state.index import Index
from sidecar.transfer import publish
from tests.fakes.device import Device
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.real_device import RealDevice

MakeDevice = Callable[..., Device]
NAMES = st.sampled_from(["a", "b", "d/a", "d/b", "d.x"])


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def killed_at(point: int) -> Iterator[None]:
    """The process dies at its ``point``-th call that changes disk or index; a request counts as well."""
    count = 0

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == point:
                raise Killed
            return function(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("exchange", "rename_new"):
            patch.setattr(publish, name, around(getattr(publish, name)))
        for name in ("hold", "release", "commit"):
            patch.setattr(Index, name, around(getattr(Index, name)))
        patch.setattr(staging.Staging, "discard", around(staging.Staging.discard))
        patch.setattr("sidecar.transfer.publish.os.rename", around(os.rename))
        patch.setattr("sidecar.transfer.publish.os.unlink", around(os.unlink))
        yield


class BothSides(RuleBasedStateMachine):
    """``out`` → ``sent``, ``remote`` → ``in``. Every content is written once in a run."""

    def __init__(self, make: MakeDevice = Device, close: Callable[[Any], None] = lambda _device: None) -> None:
        super().__init__()
        self._make, self._close = make, close
        self._directory = Path(tempfile.mkdtemp(prefix="machine-"))
        self._written = 0
        self._out: dict[str, str] = {}  # the workload's files, as it left them
        self._remote: dict[str, str] = {}  # the strangers' objects, as they left them
        self._edits: dict[str, str] = {}  # the workload's last words on what ingress brought, by name
        self._foreign: dict[str, str] = {}  # a stranger's words over what egress sent, by key

    @initialize()
    def start(self) -> None:
        """A device with nothing on it."""
        self._device = self._make(
            self._directory,
            egress=[{"source": "out", "target": "sent"}],
            ingress=[{"source": "remote", "target": "in"}],
            reconcile_interval=30.0,
        )

    def teardown(self) -> None:
        """At the end of each run all is proved."""
        if hasattr(self, "_device"):
            try:
                self._prove()
            finally:
                self._device.close()
                self._close(self._device)
        shutil.rmtree(self._directory)

    @rule(name=NAMES)
    def workload_writes(self, name: str) -> None:
        """A file for the bucket, a new one or over an old one."""
        self._out[name] = self._content("own")
        self._device.write(f"out/{name}", self._out[name], age=100)

    @rule(name=NAMES)
    def workload_removes(self, name: str) -> None:
        """Its object stays."""
        (self._device.export / "out" / name).unlink(missing_ok=True)
        self._out.pop(name, None)

    @rule(name=NAMES)
    def workload_edits(self, name: str) -> None:
        """What ingress brought; its own earlier edit goes if that is what it finds there."""
        path = self._device.export / "in" / name
        if path.exists():
            self._destroyed(path.read_text())
            self._edits[name] = self._content("edit")
            self._device.write(f"in/{name}", self._edits[name], age=100)

    @rule(name=NAMES)
    def workload_removes_what_came(self, name: str) -> None:
        """It comes again."""
        path = self._device.export / "in" / name
        if path.exists():
            self._destroyed(path.read_text())
            path.unlink()

    @rule(name=NAMES)
    def stranger_writes(self, name: str) -> None:
        """An object for the device."""
        self._remote[name] = self._content("remote")
        self._device.put(f"remote/{name}", self._remote[name])

    @rule(name=NAMES)
    def stranger_removes(self, name: str) -> None:
        """Its file stays."""
        self._remote.pop(name, None)
        self._device.remove(f"remote/{name}")

    @rule(name=NAMES)
    def stranger_writes_over_what_was_sent(self, name: str) -> None:
        """Once a key in a run: more often is contention, which waits for an hour."""
        key = f"sent/{name}"
        if key in self._device.objects() and key not in self._foreign:
            self._foreign[key] = self._content("stranger")
            self._device.put(key, self._foreign[key])

    @rule(seconds=st.sampled_from([1.0, 20.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        """On every clock."""
        self._device.pass_time(seconds)

    @rule()
    def cycle(self) -> None:
        """Undisturbed."""
        self._device.pass_time(1)
        self._device.cycle()

    @rule(failing=st.sampled_from(["put", "get", "head", "list", "copy"]))
    def cycle_with_a_server_that_fails(self, failing: str) -> None:
        """One kind of request goes nowhere."""

        def fail(operation: str, key: str) -> None:
            if operation == failing:
                raise Unreachable(operation, key, "down")

        self._device.pass_time(1)
        self._device.store.before = fail
        self._device.cycle()
        self._device.store.before = lambda _operation, _key: None

    @rule()
    def cycle_that_the_server_forgets(self) -> None:
        """It loses power after the last answer: what was sent is gone again."""
        before = {key: stored for key, stored in self._device.stored().items() if key.startswith("sent/")}
        self._device.pass_time(1)
        self._device.cycle()
        for key, stored in self._device.stored().items():
            if key in before and before[key] != stored:
                self._device.put(key, *before[key])
            elif key.startswith("sent/") and key not in before:
                self._device.remove(key)

    @rule(fault=st.sampled_from([errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS]), point=st.integers(1, 30))
    def cycle_on_a_disk_that_refuses(self, fault: int, point: int) -> None:
        """Every call from one on."""
        self._device.pass_time(1)
        with FailingDisk.installed() as disk, contextlib.suppress(SyncError):
            disk.fail(fault, point, lasting=True)
            self._device.cycle()

    @rule(point=st.integers(1, 40))
    def cycle_that_is_killed(self, point: int) -> None:
        """At any of its steps; then the next process starts."""
        self._device.pass_time(1)
        with killed_at(point), contextlib.suppress(Killed):
            self._device.cycle()
        self._device.kill()
        self._device.start()

    @invariant()
    def what_is_visible_is_whole(self) -> None:
        """Every content ends with its mark; nothing else was ever written."""
        if hasattr(self, "_device"):
            bodies = [*self._device.files("in").values(), *self._device.objects().values()]
            assert [body for body in bodies if not body.endswith("|")] == []

    def _prove(self) -> None:
        for seconds in (70, 3700, 70, 70):  # what was contended waits for an hour
            self._device.pass_time(seconds)
            self._device.cycle()
        files, objects = self._device.files(), self._device.objects()
        for name, content in self._out.items():
            assert objects[f"sent/{name}"] == content, f"out/{name} is not in the bucket"
        for name, content in self._remote.items():
            on_disk = files[f"in/{name}"]
            assert on_disk in (content, self._edits.get(name)), f"remote/{name} is not on the device"
        for name, content in self._edits.items():
            assert content in files.values(), f"the edit of in/{name} is gone"
        for key, content in self._foreign.items():
            assert content in objects.values(), f"what a stranger wrote to {key} is gone"
        assert os.listdir(self._device.export / ".data-sync/staging/incoming") == []
        assert not (self._device.export / ".data-sync/lost").exists()

    def _content(self, author: str) -> str:
        self._written += 1
        return f"{author}-{self._written}" + "x" * (self._written % 7) + "|"

    def _destroyed(self, content: str) -> None:
        self._edits = {name: edit for name, edit in self._edits.items() if edit != content}


def on_server(server: S3Server) -> type[BothSides]:
    """The machine, each run on a fresh bucket of ``server``."""

    def make(directory: Path, **settings: Any) -> Device:
        return RealDevice(server, f"machine-{secrets.token_hex(6)}", directory, **settings)

    class OnServer(BothSides):
        def __init__(self) -> None:
            super().__init__(make, RealDevice.forget_bucket)

    return OnServer
