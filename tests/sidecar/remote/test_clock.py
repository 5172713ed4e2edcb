"""How far our clock is from the server's, by the answers that come anyway."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from sidecar.remote.s3 import S3Store
from sidecar.tree import ObjectKey
from tests.fakes.faults import FaultServer, response


@pytest.mark.parametrize("ahead", [0, 1200, -900])
def test_the_clocks_are_compared_by_an_ordinary_answer(ahead: int) -> None:
    date = formatdate(time.time() - ahead, usegmt=True)
    answer = response(404, Date=date)
    told: list[float] = []
    with FaultServer(lambda _: answer) as server:
        store = S3Store(server.storage(), on_skew=told.append)
        assert store.head(ObjectKey("a")) is None
        assert store.head(ObjectKey("b")) is None
        store.close()
    assert told == [pytest.approx(ahead, abs=120)], "and not with every request"


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Foo 2026 99:99:99 GMT"])
def test_a_server_without_a_usable_date_tells_nothing(date: str) -> None:
    answer = response(404, Date=date)
    told: list[float] = []
    with FaultServer(lambda _: answer) as server:
        store = S3Store(server.storage(), on_skew=told.append)
        assert store.head(ObjectKey("a")) is None
        store.close()
    assert told == []
