"""The chart rendered by a real helm, as objects: what the tests of this room look at."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from release.helm import Helm, find, find_all

Object = dict[str, Any]
MAJORS = ("v3", "v4")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def missing(what: str) -> None:
    """A person without a network is told; CI must have it."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not here, and CI must have it: make setup")
    pytest.skip(f"{what} is not here; `make setup` with a network puts it into .venv/tools, or put it on PATH")


def helm() -> Helm:
    """The helm that a user of this checkout gets."""
    found = find()
    if found is None:
        missing("helm")
    assert found is not None
    return found


@cache
def _majors() -> dict[str, Helm]:
    return {one.run("version", "--template", "{{.Version}}").partition(".")[0]: one for one in find_all()}


def helm_of(major: str) -> Helm:
    """The helm of ``major`` (``v3``, ``v4``)."""
    if major not in _majors():
        missing(f"helm {major}")
    return _majors()[major]


def objects(values: Mapping[str, Any] | None = None, program: Helm | None = None, **options: Any) -> list[Object]:
    """All objects of the chart rendered with ``values``; each rendering is made once."""
    text = _rendered(program or helm(), json.dumps(dict(values or {})), json.dumps(options))
    return [one for one in yaml.load_all(text, Loader=LOADER) if one]


@cache
def _rendered(program: Helm, values: str, options: str) -> str:
    return program.template(json.loads(values), **json.loads(options))


def only(found: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    matching = [one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    assert len(matching) == 1, f"{len(matching)} of {kind} {name}"
    return matching[0]


def pod_specs(found: list[Object]) -> dict[str, Object]:
    """Every pod spec of ours, by the name of what holds it."""
    specs = {}
    for one in found:
        spec = one.get("spec") or {}
        match one["kind"]:
            case "Pod":
                specs[one["metadata"]["name"]] = spec
            case "CronJob":
                specs[one["metadata"]["name"]] = spec["jobTemplate"]["spec"]["template"]["spec"]
            case "Deployment" | "Job":
                specs[one["metadata"]["name"]] = spec["template"]["spec"]
    return specs
