"""A disk that refuses one call, or all from one on, at each step of a cycle that has everything to do.

Scripted, since no real disk fails at a step of our choosing; ``test_disk.py`` has real ones.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sidecar.errors import SyncError
from tests.fakes.device import Device
from tests.fakes.failing_disk import FailingDisk

FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS]
STEPS = 400  # more than a cycle has


def device(directory: Path) -> Device:
    """With something to do of each kind: new and changed both ways, an edit on both sides, a foreign object."""
    made = Device(
        directory,
        egress=[{"source": "out", "target": "sent"}],
        ingress=[{"source": "remote", "target": "in"}],
        reconcile_interval=30.0,
    )
    made.write("out/changed", "own 1|")
    made.write("out/usurped", "own 1|")
    for name in ("replaced", "edited"):
        made.put(f"remote/{name}", "remote 1|")
    made.cycle()
    made.write("out/changed", "own 2|")
    made.write("out/new/file", "own 3|")
    made.write("out/usurped", "own 4|")
    made.put("sent/usurped", "stranger|")
    made.write("in/edited", "edit|")
    for name in ("replaced", "edited", "fresh/file"):
        made.put(f"remote/{name}", "remote 2|")
    return made


def attempt(made: Device) -> list[str]:
    """One cycle as the daemon runs it; returns the reasons of what failed."""
    try:
        found = made.cycle()
    except SyncError as error:
        return [error.reason]
    tallies = [tally for some in found.values() for tally in some]
    return [reason for tally in tallies for reason in tally.reasons] + [
        tally.error.reason for tally in tallies if tally.error is not None
    ]


def prove_whole(made: Device) -> None:
    bodies = [*made.files("in").values(), *made.objects().values()]
    assert [body for body in bodies if not body.endswith("|")] == []
    assert "edit|" in made.held_or_visible()
    assert "stranger|" in made.objects().values()


def prove_settled(made: Device) -> None:
    files, objects = made.files(), made.objects()
    assert {key: objects[key] for key in ("sent/changed", "sent/new/file", "sent/usurped")} == {
        "sent/changed": "own 2|",
        "sent/new/file": "own 3|",
        "sent/usurped": "own 4|",
    }
    assert {name: files[f"in/{name}"] for name in ("replaced", "edited", "fresh/file")} == dict.fromkeys(
        ("replaced", "edited", "fresh/file"), "remote 2|"
    )
    assert [body for name, body in files.items() if ".conflict-" in name] == ["edit|"]
    assert os.listdir(made.export / ".data-sync/staging/incoming") == []
    assert os.listdir(made.export / ".data-sync/staging/held") == []
    assert not (made.export / ".data-sync/lost").exists()
    assert made.engine._syncer is not None
    assert (made.engine._syncer._space._reserved, made.engine._syncer._space._files) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "lasting"),
    [
        (errno.ENOSPC, False),
        (errno.EIO, False),
        (errno.EDQUOT, True),
        (errno.EIO, True),
        (errno.EROFS, True),
    ],
    ids=["full once", "failing once", "over quota", "failing", "read-only"],
)
def test_whatever_step_the_disk_refuses_nothing_is_lost_and_it_recovers_by_itself(
    tmp_path: Path, fault: int, lasting: bool
) -> None:
    with FailingDisk.installed() as disk:
        for step in range(1, STEPS):
            with device(tmp_path / str(step)) as made:
                disk.fail(fault, step, lasting=lasting)
                reasons = attempt(made)
                struck = disk.heal()
                assert "internal" not in reasons, f"step {step}"
                prove_whole(made)
                for _ in range(4):
                    made.pass_time(70)
                    attempt(made)
                prove_settled(made)
            if not struck:
                break
    assert not struck, "not all steps were tried"


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
def test_a_first_start_on_a_disk_that_refuses_any_step_is_made_good(tmp_path: Path, fault: int) -> None:
    with FailingDisk.installed() as disk:
        for step in range(1, STEPS):
            with Device(
                tmp_path / str(step),
                egress=[{"source": "out", "target": "sent"}],
                ingress=[{"source": "remote", "target": "in"}],
            ) as made:
                made.write("out/file", "own|")
                made.put("remote/file", "remote|")
                disk.fail(fault, step, lasting=True)
                reasons = attempt(made) + attempt(made)
                struck = disk.heal()
                assert "internal" not in reasons, f"step {step}"
                made.pass_time(1)
                assert attempt(made) == []
                assert made.files("in") == {"file": "remote|"}
                assert made.objects() == {"remote/file": "remote|", "sent/file": "own|"}
            if not struck:
                break
    assert not struck, "not all steps were tried"


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda number: errno.errorcode[number])
def test_started_on_a_disk_that_refuses_everything_it_sends_all_the_same(
    tmp_path: Path, fault: int, killed: bool
) -> None:
    with FailingDisk.installed() as disk, device(tmp_path) as made:
        made.cycle()  # replaces files: what they were is held
        if killed:
            made.kill()
        else:
            made.close()
        made.put("remote/replaced", "remote 3|")
        made.write("out/changed", "own 5|")
        made.start()
        disk.fail(fault, 1, lasting=True)
        for _ in range(3):
            reasons = attempt(made)
            made.pass_time(1)
        disk.heal()
        assert made.objects()["sent/changed"] == "own 5|"
        assert made.files("in")["replaced"] == "remote 2|"
        assert set(reasons) & {"no_room", "index", "local"}, "it is said"
        assert "internal" not in reasons
        made.requests()
        for _ in range(4):
            made.pass_time(70)
            attempt(made)
        assert made.files("in")["replaced"] == "remote 3|"
        assert "put" not in made.requests(), "what went meanwhile is not sent again"
        assert os.listdir(made.export / ".data-sync/staging/held") == []
        assert [body for name, body in made.files().items() if ".conflict-" in name] == ["edit|"]
        assert not (made.export / ".data-sync/lost").exists()
