"""What is recorded of many transfers where recording itself fails."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from sidecar.limits import Floor, Space
from sidecar.plan import Download, RemoteFile
from sidecar.state.database import IndexBroken
from sidecar.transfer.pace import Pace
from sidecar.transfer.publish import Fetched
from sidecar.transfer.transfer import SMALL, Transfer
from sidecar.transfer.turns import Turn
from sidecar.tree import ETag, Fingerprint, RelativePath


@pytest.mark.parametrize("size", [1, SMALL + 1], ids=["tasks", "threads"])
def test_an_index_that_fails_keeps_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: object, size: int) -> None:
    space = Space(str(tmp_path), Floor(0, 0.0), ceiling=10 * size)

    def attempt(_bench: object, action: Download) -> Fetched:
        space.reserve(action.size, action.path)
        return Fetched(action, action.path, action.path, b"", Fingerprint(size, 0, 0, 0))

    def agreed(*_: object) -> None:
        raise IndexBroken("write", "index", "damaged")

    monkeypatch.setattr("sidecar.transfer.transfer.attempt", attempt)
    publisher = SimpleNamespace(make_durable=lambda *_: None, place=lambda one: one.placed)
    recorder = SimpleNamespace(planned=lambda _: None, agreed=agreed, commit=lambda: None)
    aside = SimpleNamespace(lane=SimpleNamespace(ended=lambda _: []), scope=None, wait=False)
    bench = SimpleNamespace(space=space, alive=lambda: None)
    transfer = Transfer(bench, recorder, publisher, Pace(), aside, Turn(None, time.monotonic))  # type: ignore[arg-type]
    actions = [
        Download(RelativePath(name), RemoteFile(RelativePath(name), size, ETag("e"), 0.0), None, None) for name in "abc"
    ]

    with pytest.raises(IndexBroken):
        transfer.run(actions)

    space.set_used(0)
    space.reserve(10 * size, "all that is allowed")  # refused if any of it were still set apart
