"""Names from the corpus, both ways: what is a name passes as it is, what is none is named and spoils nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.faults.conftest import Battered
from tests.traps.names import BAD_KEYS, GOOD, LONGEST, NOT_TEXT, TOO_LONG
from tests.walks.pair import Pair

# moto looks for a key by a pattern that a line's end ends.
FIT = [name for name in GOOD if "\n" not in name]


def statuses(pair: Pair, direction: str) -> dict[str, Any]:
    return next(entry for entry in pair.sidecar.status()["mappings"] if entry["direction"] == direction)


@pytest.mark.timeout(300)
def test_every_name_that_is_one_goes_up_as_it_is(any_key_world: Pair) -> None:
    for name in FIT:
        any_key_world.write(f"names/{name}", name.encode())
    any_key_world.write(LONGEST, b"longest")
    wanted = {f"sent/names/{name}" for name in FIT} | {f"sent/{LONGEST}"}
    any_key_world.sidecar.wait_for(
        lambda: wanted <= set(any_key_world.all_keys("sent/")), "all names are in the bucket"
    )
    assert set(any_key_world.all_keys("sent/names/")) == {f"sent/names/{name}" for name in FIT}
    for name in FIT[:: len(FIT) // 12]:
        assert any_key_world.sent(f"names/{name}") == name.encode()


@pytest.mark.timeout(300)
def test_every_name_that_is_one_comes_down_as_it_is(any_key_world: Pair) -> None:
    for name in FIT:
        any_key_world.put(f"names/{name}", name.encode())
    top = any_key_world.sidecar.export / "in/names"
    any_key_world.sidecar.wait_for(lambda: top.is_dir() and len(os.listdir(top)) == len(FIT), "all names arrived")
    assert set(os.listdir(top)) == set(FIT)
    assert all((top / name).read_bytes() == name.encode() for name in FIT)


@pytest.mark.timeout(300)
def test_names_that_the_real_server_takes_go_both_ways(world: Battered) -> None:
    some = [name for name in GOOD if "\\" not in name][::6]
    some += ["caf\u00e9", "cafe\u0301", "x" * 255, "line\nend"]
    for name in some:
        world.write(f"names/{name}", name.encode())
        world.put(f"names/{name}", name.encode())
    for name in some:
        world.wait_sent(f"names/{name}", name.encode())
        world.wait_arrived(f"names/{name}", name.encode())


def test_names_that_no_key_can_have_stay_and_are_named(world: Battered) -> None:
    (world.out / "bytes").mkdir(parents=True)
    for raw in NOT_TEXT:
        path = os.path.join(os.fsencode(world.out), b"bytes", raw)
        with open(path, "wb") as file:
            file.write(b"x")
    world.write(TOO_LONG, b"x")
    world.write("bytes/good", b"x")
    world.wait_sent("bytes/good", b"x")
    world.sidecar.wait_for(
        lambda: statuses(world, "egress")["pending_files"] >= len(NOT_TEXT) + 1, "what cannot go counts as pending"
    )
    named = " ".join(failure["name"] for failure in statuses(world, "egress")["failures"])
    assert all(raw.decode("utf-8", "backslashreplace") in named for raw in NOT_TEXT)
    assert world.all_keys("sent/bytes/") == ["sent/bytes/good"]
    for raw in NOT_TEXT:
        os.unlink(os.path.join(os.fsencode(world.out), b"bytes", raw))
    (world.out / TOO_LONG).unlink()
    world.sidecar.wait_for(lambda: statuses(world, "egress")["pending_files"] == 0, "nothing is pending any more")


def test_keys_that_are_no_paths_are_quarantined_and_spoil_nothing(any_key_world: Pair) -> None:
    outside = sorted(os.listdir(any_key_world.sidecar.export.parent))
    for key in BAD_KEYS:
        any_key_world.put(f"bad/{key}", b"never")
    any_key_world.put("bad/marker/", b"")
    any_key_world.put("bad/zzz", b"good")
    any_key_world.wait_arrived("bad/zzz", b"good")
    any_key_world.sidecar.wait_for(
        lambda: (statuses(any_key_world, "ingress")["quarantined_files"] or 0) >= len(BAD_KEYS), "all are quarantined"
    )
    files = [path for path in any_key_world.sidecar.export.rglob("*") if path.is_file()]
    assert [path for path in files if path.read_bytes() == b"never"] == []
    assert sorted(os.listdir(any_key_world.sidecar.export.parent)) == outside


def test_a_file_and_a_directory_of_one_name_have_one_winner_and_do_not_flap(any_key_world: Pair) -> None:
    any_key_world.put("both/a", b"file")
    any_key_world.put("both/a/b", b"below")
    any_key_world.wait_arrived("both/a", b"file")
    requests = 's3_requests_total{code="200",operation="get"}'
    before = any_key_world.sidecar.metric(requests)
    any_key_world.sidecar.wait_cycles(4)
    assert any_key_world.sidecar.metric(requests) == before
    assert any_key_world.arrived("both/a") == b"file"
    assert any("both/a/b" in name for name in statuses(any_key_world, "ingress")["quarantined"])
