"""The locks hold names, versions and hashes and nothing else, and what ``pyproject.toml`` asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("dev", "sidecar", "webhook", "helm")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_PIN = re.compile(r"[a-z0-9-]+==(\d+!)?[A-Za-z0-9.]+( ; [a-z_]+ [<>=!]+ '[\w.]+'( and [a-z_]+ [<>=!]+ '[\w.]+')*)? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def lines(lock: str) -> list[str]:
    return (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()


def pins(lock: str) -> dict[str, set[str]]:
    """Versions by name; markers may give one name several."""
    found: dict[str, set[str]] = {}
    for line in lines(lock):
        if not line.startswith(" "):
            pinned = Requirement(line.removesuffix(" \\"))
            found.setdefault(pinned.name, set()).add(next(iter(pinned.specifier)).version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_path(lock: str) -> None:
    strange = [line for line in lines(lock) if not _PIN.fullmatch(line) and not _HASH.fullmatch(line)]
    assert strange == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    text = "\n".join(lines(lock))
    entries = re.findall(r"^\S+==.*(?:\n    --hash=\S+(?: \\)?)*", text, re.MULTILINE)
    assert [entry.split("==")[0] for entry in entries if "--hash=" not in entry] == []


@pytest.mark.parametrize(
    ("lock", "extras"), [("dev", ("webhook", "sidecar", "dev")), ("webhook", ("webhook",)), ("sidecar", ("sidecar",))]
)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    wanted = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    pinned = pins(lock)
    unsatisfied = [
        text
        for text in wanted
        if not any(Requirement(text).specifier.contains(version) for version in pinned.get(Requirement(text).name, ()))
    ]
    assert unsatisfied == [], "run `make lock`"


@pytest.mark.parametrize("lock", ["sidecar", "webhook"])
def test_what_ships_is_what_is_tested(lock: str) -> None:
    tested = pins("dev")
    assert {name: versions for name, versions in pins(lock).items() if versions != tested.get(name)} == {}


def test_neither_image_holds_the_other_programs_libraries() -> None:
    assert {"flask", "gunicorn", "kubernetes", "pyyaml"}.isdisjoint(pins("sidecar"))
    assert {"boto3", "botocore"}.isdisjoint(pins("webhook"))
