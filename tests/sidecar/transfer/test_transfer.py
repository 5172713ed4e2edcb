"""Many transfers: where recording fails, where a file outgrew its place, and where there are no threads."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from sidecar.errors import SyncError
from sidecar.limits import Floor, Space
from sidecar.loop import SMALL, readable, stay_short, step_aside
from sidecar.plan import Action, Download, RemoteFile
from sidecar.state.database import IndexBroken
from sidecar.transfer.bench import Done, LeftAlone, Stopping
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Fetched
from sidecar.transfer.transfer import Transfer
from sidecar.transfer.turns import Turn
from sidecar.tree import Agreed, ETag, Fingerprint, RelativePath


def made(size: int, names: str) -> list[Action]:
    return [
        Download(RelativePath(name), RemoteFile(RelativePath(name), size, ETag("e"), 0.0), None, None) for name in names
    ]


def transfer_with(recorder: object, **more: object) -> Transfer:
    publisher = SimpleNamespace(make_durable=lambda *_: None, place=lambda one: one.placed)
    lane = SimpleNamespace(ended=lambda _: [])
    bench = SimpleNamespace(
        **{"space": SimpleNamespace(release=lambda *_, **__: None), "alive": lambda: None, "beat": lambda: None, **more}
    )
    aside = SimpleNamespace(lane=lane, scope=None, wait=False)
    return Transfer(bench, recorder, publisher, Pace(), aside, Turn(None, time.monotonic))  # type: ignore[arg-type]


class Broken:
    """A recorder that can write nothing down."""

    def __init__(self) -> None:
        self.planned = lambda _: None
        self.commit = lambda: None

    def _fail(self, *_: object, **__: object) -> None:
        raise IndexBroken("write", "index", "damaged")

    agreed = done = _fail


class Heard:
    """A recorder that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.planned = lambda _: None
        self.commit = lambda: None

    def left_alone(self, action: Action) -> None:
        self.told.append((action.path, "left alone"))

    def agreed(self, action: Action, *_: object) -> None:
        self.told.append((action.path, "agreed"))

    def failed(self, action: Action, error: SyncError, **_: object) -> None:
        self.told.append((action.path, error.reason))


@pytest.mark.parametrize("size", [1, SMALL + 1], ids=["tasks", "threads"])
def test_an_index_that_fails_keeps_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: object, size: int) -> None:
    space = Space(str(tmp_path), Floor(0, 0.0), ceiling=10 * size)

    def attempt(_bench: object, action: Download) -> Fetched:
        space.reserve(action.size, action.path)
        return Fetched(action, action.path, action.path, b"", Fingerprint(size, 0, 0, 0))

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)

    with pytest.raises(IndexBroken):
        transfer_with(Broken(), space=space).run(made(size, "abc"))

    space.set_used(0)
    space.reserve(10 * size, "all that is allowed")  # refused if any of it were still set apart


def test_an_index_that_fails_abandons_no_task_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = list[str](), list[str]()

    def attempt(_bench: object, action: Action) -> Done:
        begun.append(action.path)
        step_aside(0.01)
        step_aside(0.01 * len(begun))
        ended.append(action.path)
        return Done(Agreed(action.path, Fingerprint(1, 0, 0, 0), b"", ETag("e"), 1), 1)

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)
    with pytest.raises(IndexBroken):
        transfer_with(Broken()).run(made(1, "abcdefgh"))

    assert len(begun) == 8
    assert sorted(ended) == sorted(begun)


def test_when_time_is_up_nobody_waits_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(_bench: object, action: Action) -> LeftAlone | SyncError:
        try:
            readable(silent.fileno(), 3600) if action.path == "a" else step_aside(3600)
        except Stopping as error:
            return error
        return LeftAlone()

    def beat() -> None:
        raise Stopping("sync", "export", "the grace period is over")

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)
    heard, (silent, other) = Heard(), socket.socketpair()
    with silent, other:
        transfer_with(heard, beat=beat).run(made(1, "ab"))

    assert sorted(heard.told) == [("a", "stopping"), ("b", "stopping")]


def test_a_file_that_outgrew_the_loop_is_given_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    where: dict[str, list[str]] = {}

    def attempt(_bench: object, action: Action) -> LeftAlone:
        where.setdefault(action.path, []).append(threading.current_thread().name)
        if action.path == "b":
            stay_short(SMALL + 1)
        return LeftAlone()

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)
    heard = Heard()
    transfer_with(heard).run(made(1, "abc"))

    assert sorted(heard.told) == [("a", "left alone"), ("b", "left alone"), ("c", "left alone")]
    main = threading.current_thread().name
    assert where == {"a": [main], "b": [main, "transfer-0"], "c": [main]}


def test_without_threads_larger_files_fail_and_small_ones_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", lambda _bench, _action: LeftAlone())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    heard = Heard()
    transfer_with(heard).run([*made(SMALL + 1, "a"), *made(1, "b")])

    assert sorted(heard.told) == [("a", "no_thread"), ("b", "left alone")]


def test_what_has_landed_does_not_wait_for_a_slow_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = threading.Event()

    def attempt(_bench: object, action: Download) -> Fetched | LeftAlone:
        if action.size > SMALL:
            assert recorded.wait(60), "the small one waits for this"
            return LeftAlone()
        return Fetched(action, action.path, action.path, b"", Fingerprint(1, 0, 0, 0))

    class Noticing(Heard):
        def agreed(self, action: Action, *_: object) -> None:
            super().agreed(action)
            recorded.set()

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)
    heard = Noticing()
    transfer_with(heard).run([*made(SMALL + 1, "a"), *made(1, "b")])

    assert heard.told == [("b", "agreed"), ("a", "left alone")]
