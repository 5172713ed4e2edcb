"""Downloads on their way down: what is flushed when, what is believed when, and what becomes of them where it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sidecar.errors import LocalFault, NoRoom
from sidecar.plan import Download, RemoteFile
from sidecar.transfer.apply import Internal
from sidecar.transfer.landing import FILES, Landed, Landing
from sidecar.transfer.publish import Fetched
from sidecar.tree import Agreed, ETag, Fingerprint, RelativePath


def fetched(name: str) -> Fetched:
    action = Download(RelativePath(name), RemoteFile(RelativePath(name), 1, ETag("e"), 0.0), None, None)
    return Fetched(action, name, name, b"h", Fingerprint(1, 2, 3, 4))


class Publisher:
    """Notes what is done to whom. A flush waits for ``may_flush``, and fails for what is in ``broken``."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.may_flush = threading.Event()
        self.may_flush.set()
        self.broken: set[str] = set()

    def make_durable(self, contents: list[Fetched], names: list[Fetched]) -> None:
        assert self.may_flush.wait(60)
        self.acts.append(f"flush {'+'.join(one.path for one in contents)} / {'+'.join(one.path for one in names)}")
        if self.broken & {one.path for one in contents + names}:
            raise NoRoom("flush", "x", "the disk is full")

    def place(self, one: Fetched) -> Fingerprint:
        self.acts.append(f"place {one.path}")
        if one.path == "barred":
            raise LocalFault("place", one.path, "a directory is in the way")
        return one.placed

    def discard(self, one: Fetched) -> None:
        self.acts.append(f"discard {one.path}")


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def landing(publisher: Publisher) -> Iterator[Landing]:
    landing = Landing(publisher, lambda: None)  # type: ignore[arg-type]
    yield landing
    publisher.may_flush.set()
    landing.close()


def outcomes(landed: Iterator[Landed]) -> dict[str, type]:
    return {one.path: type(outcome) for one, outcome in landed}


def test_contents_are_durable_before_the_name_and_the_name_before_it_is_believed(
    landing: Landing, publisher: Publisher
) -> None:
    landing.add(fetched("a"))
    assert outcomes(landing.all_landed()) == {"a": Agreed}
    assert publisher.acts == ["flush a / ", "place a", "flush  / a"]


def test_one_flush_serves_the_contents_of_a_group_and_the_names_of_the_one_before(
    landing: Landing, publisher: Publisher
) -> None:
    publisher.may_flush.clear()
    first = [f"1-{number}" for number in range(FILES)]
    for name in first:
        landing.add(fetched(name))
    assert outcomes(landing.landed()) == {}  # the flush has begun, and nobody waits for it
    landing.add(fetched("2"))
    publisher.may_flush.set()
    assert outcomes(landing.all_landed()) == dict.fromkeys([*first, "2"], Agreed)
    together = "+".join(first)
    assert [act for act in publisher.acts if act.startswith("flush")] == [
        f"flush {together} / ",
        f"flush 2 / {together}",
        "flush  / 2",
    ]


def test_a_few_files_do_not_wait_for_a_group(publisher: Publisher) -> None:
    now = [0.0]
    landing = Landing(publisher, lambda: None, clock=lambda: now[0])  # type: ignore[arg-type]
    landing.add(fetched("a"))
    assert outcomes(landing.landed()) == {}
    assert publisher.acts == []
    now[0] = 1.0
    assert outcomes(landing.landed()) == {}
    landing.close()  # which waits for the flush that has begun
    assert publisher.acts == ["flush a / "]
    assert outcomes(landing.landed()) == {}
    assert publisher.acts == ["flush a / ", "place a"]


def test_contents_that_could_not_be_flushed_get_no_name(landing: Landing, publisher: Publisher) -> None:
    publisher.broken = {"a"}
    landing.add(fetched("a"))
    landing.add(fetched("b"))
    assert outcomes(landing.all_landed()) == {"a": NoRoom, "b": NoRoom}
    assert publisher.acts == ["flush a+b / ", "discard a", "discard b"]


def test_names_that_could_not_be_flushed_are_not_believed_and_not_discarded(
    landing: Landing, publisher: Publisher
) -> None:
    landing.add(fetched("a"))
    original = publisher.place

    def place(one: Fetched) -> Fingerprint:
        publisher.broken = {"a"}
        return original(one)

    publisher.place = place  # type: ignore[method-assign]
    assert outcomes(landing.all_landed()) == {"a": NoRoom}
    assert "discard a" not in publisher.acts


def test_one_that_cannot_be_placed_stops_no_other(landing: Landing) -> None:
    for name in ("barred", "b"):
        landing.add(fetched(name))
    assert outcomes(landing.all_landed()) == {"barred": LocalFault, "b": Agreed}


def test_without_a_thread_to_be_had_it_flushes_itself(
    landing: Landing, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    landing.add(fetched("a"))
    assert outcomes(landing.all_landed()) == {"a": Agreed}
    assert publisher.acts == ["flush a / ", "place a", "flush  / a"]


def test_whoever_waits_elsewhere_is_told_that_a_flush_has_ended(publisher: Publisher) -> None:
    told = threading.Event()
    landing = Landing(publisher, told.set)  # type: ignore[arg-type]
    for number in range(FILES):
        landing.add(fetched(str(number)))
    list(landing.landed())
    assert told.wait(60)
    outcomes(landing.all_landed())
    landing.close()


@pytest.mark.parametrize("act", ["make_durable", "place"])
def test_what_nobody_expected_ends_as_an_error_of_that_file(
    landing: Landing, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(publisher, act, fails)
    landing.add(fetched("a"))
    assert outcomes(landing.all_landed()) == {"a": Internal}
