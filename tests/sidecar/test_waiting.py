"""``python -m sidecar wait``: success is what a sidecar that holds the directory says after a look of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.commands.waiting import everything_is_sent, wait


def status(role: str = "holder", **egress: Any) -> dict[str, Any]:
    mapping = {"direction": "egress", "state": "ok", "pending_files": 0, **egress}
    return {"role": role, "mappings": [mapping, {"direction": "ingress", "state": "failed", "pending_files": 9}]}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(status(), True, id="all sent; ingress does not matter"),
        pytest.param(status(pending_files=1), False, id="a file waits"),
        pytest.param(status(pending_files=None), False, id="not known yet"),
        pytest.param(status(state="first cycle"), False, id="the first look is under way"),
        pytest.param(status(state="partial"), False, id="some failed"),
        pytest.param(status("standby"), False, id="another holds the directory"),
        pytest.param({"role": "holder", "mappings": []}, False, id="nothing is said"),
        pytest.param(None, False, id="no sidecar"),
        pytest.param([], False, id="something else"),
    ],
)
def test_everything_is_sent(found: Any, expected: bool) -> None:
    assert everything_is_sent(found) is expected


def clock(step: float = 1.0) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_it_waits_until_all_is_sent() -> None:
    said = iter([None, status("standby"), status(pending_files=2), status()])
    times = clock()
    assert wait(60, lambda: next(said), lambda _: None, lambda: next(times))


def test_it_gives_up_when_time_is_over() -> None:
    times = clock()
    assert not wait(5, lambda: status(pending_files=2), lambda _: None, lambda: next(times))


def test_without_a_sidecar_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:  # bound and not listening: nobody else gets it, and nobody answers
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr("sidecar.commands.waiting.PORT", free.getsockname()[1])
        fails_without_a_sidecar()


def fails_without_a_sidecar() -> None:
    times = clock()
    assert not wait(3, None, lambda _: None, lambda: next(times))
