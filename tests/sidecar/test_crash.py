"""A kill between any two of our system calls: whatever the moment, every content is still somewhere.

The interruption is a BaseException raised at the n-th call that changes something; what follows is a
new process on the same directory. The applications' interference is run at the same points.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sidecar.local import staging, syscalls
from sidecar.state.database import IndexBroken
from sidecar.state.index import Index
from sidecar.transfer import publish
from tests.fakes.device import Device

DATA = [{"source": "remote/data", "target": "in"}]


class Killed(BaseException):
    """The process ends here."""


class Points:
    """Every call of ours that changes the disk, in order; ``act`` runs before the n-th of them."""

    def __init__(self, act: Callable[[], None], at: int) -> None:
        self.count = 0
        self._act = act
        self._at = at

    def pass_by(self) -> None:
        """One more point."""
        self.count += 1
        if self.count == self._at:
            self._act()


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, points: Points) -> Iterator[None]:
    """Put a point before and after each call that changes the disk while a download is placed."""

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            points.pass_by()
            result = function(*args, **kwargs)
            points.pass_by()
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("exchange", "rename_new"):
            patch.setattr(publish, name, around(getattr(publish, name)))
        for name in ("hold", "release", "commit"):
            patch.setattr(Index, name, around(getattr(Index, name)))
        patch.setattr(staging.Staging, "discard", around(staging.Staging.discard))
        patch.setattr("sidecar.transfer.publish.os.rename", around(os.rename))
        patch.setattr("sidecar.transfer.publish.os.unlink", around(os.unlink))
        yield


def prepared(directory: Path, *, edited: bool) -> Device:
    """A device with one agreed file, and a newer object waiting."""
    device = Device(directory, ingress=DATA)
    device.put("remote/data/a", "base")
    device.ingress()
    if edited:
        device.write("in/a", "local edit")
    device.put("remote/data/a", "remote")
    return device


def points_in_a_cycle(directory: Path, monkeypatch: pytest.MonkeyPatch, *, edited: bool) -> int:
    with prepared(directory, edited=edited) as device:
        points = Points(lambda: None, at=-1)
        with watched(monkeypatch, points):
            device.ingress()
        return points.count


@pytest.mark.parametrize("edited", [False, True], ids=["unedited", "edited"])
def test_a_kill_at_any_point_of_replacing_a_file_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    count = points_in_a_cycle(tmp_path / "dry", monkeypatch, edited=edited)
    assert count >= 8

    def die() -> None:
        raise Killed

    for at in range(1, count + 1):
        device = prepared(tmp_path / str(at), edited=edited)
        points = Points(die, at)
        with watched(monkeypatch, points), pytest.raises(Killed):
            device.ingress()
        os.close(device.engine._lock._fd)  # type: ignore[arg-type]  # as the end of a process does
        visible = device.files()
        assert visible["in/a"] in ("base", "local edit", "remote"), f"point {at}: a name is never without a whole file"
        device.start()
        with device:
            for _ in range(4):
                device.pass_time(1)
                device.ingress()
            files = device.files()
            assert files.pop("in/a") == "remote", f"point {at}"
            assert list(files.values()) == (["local edit"] if edited else []), f"point {at}"
            assert os.listdir(device.export / ".data-sync/staging/held") == [], f"point {at}"
            assert os.listdir(device.export / ".data-sync/staging/incoming") == [], f"point {at}"
            assert not (device.export / ".data-sync/lost").exists(), f"point {at}"


def _edit(device: Device) -> None:
    device.write("in/a", "by the application", age=5)


def _rename_over(device: Device) -> None:
    device.write("in/.new", "by the application", age=5).rename(device.export / "in/a")


def _delete(device: Device) -> None:
    (device.export / "in/a").unlink(missing_ok=True)


def _link(device: Device) -> None:
    _delete(device)
    (device.export / "in/a").symlink_to(device.export.parent / "outside")


def _directory(device: Device) -> None:
    _delete(device)
    (device.export / "in/a").mkdir()


@pytest.mark.parametrize("edited", [False, True], ids=["unedited", "edited"])
@pytest.mark.parametrize("interfere", [_edit, _rename_over, _delete, _link, _directory])
def test_an_application_that_interferes_at_any_point_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interfere: Callable[[Device], None], edited: bool
) -> None:
    (tmp_path / "outside").write_text("outside")
    count = points_in_a_cycle(tmp_path / "dry", monkeypatch, edited=edited)
    for at in range(1, count + 1):
        with prepared(tmp_path / str(at), edited=edited) as device:
            (device.export.parent / "outside").write_text("outside")

            def act(device: Device = device) -> None:
                interfere(device)

            with watched(monkeypatch, Points(act, at)):
                device.ingress()
            for _ in range(4):
                device.pass_time(1)
                device.ingress()
            contents = set(device.files().values())
            where = f"{interfere.__name__} at point {at}"
            if interfere in (_edit, _rename_over):
                assert "by the application" in contents, where
            if edited and interfere is _rename_over and "local edit" not in contents:
                # Renaming over it is the application's own act, if it came before our exchange.
                assert "by the application" in contents, where
            assert contents <= {"base", "local edit", "by the application", "remote"}, where
            assert (device.export.parent / "outside").read_text() == "outside", where
            assert os.listdir(device.export / ".data-sync/staging/held") == [], where


@pytest.mark.parametrize("edited", [False, True], ids=["unedited", "edited"])
def test_a_file_system_without_exchange_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    def unsupported(*_: object) -> None:
        raise syscalls.Unsupported(22, "Invalid argument")

    monkeypatch.setattr(publish, "exchange", unsupported)
    monkeypatch.setattr(syscalls, "_renameat2", unsupported)
    with prepared(tmp_path, edited=edited) as device:
        for _ in range(4):
            device.pass_time(1)
            device.ingress()
        files = device.files()
        assert files.pop("in/a") == "remote"
        assert list(files.values()) == (["local edit"] if edited else [])
        assert os.listdir(device.export / ".data-sync/staging/held") == []


def test_a_replaced_file_of_unknown_origin_is_kept(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=DATA) as device:
        device.ingress()
        (device.export / ".data-sync/staging/held/77").write_text("whose?")
        device.restart()
        device.ingress()
        assert (device.export / ".data-sync/lost/77").read_text() == "whose?"


def test_half_a_download_of_an_earlier_run_is_removed(tmp_path: Path) -> None:
    with Device(tmp_path, ingress=DATA) as device:
        device.ingress()
        (device.export / ".data-sync/staging/incoming/1-1").write_text("half")
        device.restart()
        device.ingress()
        assert os.listdir(device.export / ".data-sync/staging/incoming") == []


def test_an_index_that_turns_out_broken_while_staging_is_tidied_is_started_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(index: Index) -> None:
        monkeypatch.undo()
        raise IndexBroken("use", index.path, "database disk image is malformed")

    with prepared(tmp_path, edited=False) as device:
        monkeypatch.setattr(Index, "held", broken)
        for _ in range(3):
            device.pass_time(1)
            assert device.ingress().error is None
        assert device.read("in/a") == "remote"
        assert (device.export / ".data-sync/index.broken").exists()


@pytest.mark.parametrize("when", ["while staging is tidied", "in a pass"])
def test_what_is_held_survives_an_index_that_is_started_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The fresh index counts from one again, and an application may still write to what was held under that number."""

    def broken(index: Index, *_: object) -> NoReturn:
        monkeypatch.undo()
        raise IndexBroken("use", index.path, "database disk image is malformed")

    lost = tmp_path / "export/.data-sync/lost"
    with Device(tmp_path, ingress=DATA) as device:
        device.put("remote/data/a", "one")
        device.put("remote/data/b", "one")
        device.ingress()
        for round_, name in enumerate(("a", "b", "a")):
            with (device.export / "in" / name).open("a") as application:
                device.put(f"remote/data/{name}", f"two {round_}")
                device.pass_time(1)
                device.ingress()  # what the application has open is held under number 1 now
                application.write(f" and late {round_}")
            monkeypatch.setattr(Index, "held" if when == "while staging is tidied" else "scope", broken)
            device.ingress()
            device.put("remote/data/b", f"three {round_}")
            device.pass_time(1)
            for _ in range(4):
                device.pass_time(1)
                device.ingress()
        found = "".join(path.read_text() for path in [*lost.iterdir(), *(device.export / "in").iterdir()])
        assert [f"late {round_}" in found for round_ in range(3)] == [True, True, True]
