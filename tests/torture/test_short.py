"""The short form of ``make torture``: a few kills, then the whole proof."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from demo.s3server import S3Server
from tests.torture import contents
from tests.torture.ledger import Ledger
from tests.torture.run import run

SEED = 11
SECONDS = 6.0


@pytest.mark.timeout(900)  # settling is waited for generously; it takes seconds
def test_killed_again_and_again_it_loses_nothing_and_shows_nothing_half_done(
    s3_server: S3Server, tmp_path: Path
) -> None:
    verdict = run(s3_server, tmp_path, SEED, SECONDS)
    assert verdict.faults == [], verdict
    assert verdict.kills + verdict.stops >= 1


def test_bodies_tell_whether_they_are_whole() -> None:
    rng = random.Random(SEED)
    for size in (0, 1, 1000, 100_000):
        body = contents.whole("own-1", size)
        assert contents.read_whole(body) == contents.Whole("own-1")
        assert contents.read_whole(body + contents.note("late-7")) == contents.Whole("own-1", ("late-7",))
        cut = rng.randrange(len(body))
        assert contents.read_whole(body[:cut]) is None
        assert contents.is_beginning(body[:cut])
        other = contents.whole("own-2", size)
        if size > 1:
            assert contents.read_whole(other[:40] + body[40:]) is None
            assert not contents.is_beginning(other[:40] + body[40:])
    log = contents.stream("log-0", 0, 700) + contents.stream("log-0", 700, 33)
    assert contents.is_stream(log)
    assert not contents.is_stream(log[:100] + contents.stream("log-1", 100, 50))
    assert contents.is_stamps(contents.stamps(4, 3) + contents.stamps(3, 2))
    assert not contents.is_stamps(contents.stamps(3, 3) + contents.stamps(4, 2))
    assert not contents.is_stamps(contents.stamps(5, 3) + contents.stamps(3, 2))


def test_the_ledger_knows_what_must_still_exist(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    one, two = ledger.name("edit"), ledger.name("edit")
    ledger.wrote(one, "here")
    ledger.wrote(two, "there")
    ledger.destroyed([one, "never-heard-of"], "by its author")
    assert ledger.alive() == {two: "there"}
    ledger.close()
