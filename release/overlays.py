"""``overlays/<kind of cluster>/``: what the chart gives there, as patches over ``manifests/``.

Each overlay's ``values.yaml`` is written by hand and is all there is to it; the kustomization and what
it adds are the difference between two renderings of the chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from release.helm import OLDEST, Helm
from release.manifests import MADE, split
from release.tools import ROOT

OVERLAYS: Final = ROOT / "overlays"

Object = dict[str, Any]


def names() -> list[str]:
    """The overlays that are here."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/values.yaml"))


def values(overlay: str) -> Mapping[str, Any]:
    """The values by which the chart gives what the overlay gives."""
    found: Mapping[str, Any] = yaml.safe_load((OVERLAYS / overlay / "values.yaml").read_text())
    return found


def render(helm: Helm) -> dict[Path, str]:
    """Every overlay's files that are made, by path, with their text."""
    base = split(helm.template(kubernetes=OLDEST))
    files: dict[Path, str] = {}
    for overlay in names():
        there = split(helm.template(values(overlay), kubernetes=OLDEST))
        files |= {OVERLAYS / overlay / name: text for name, text in _overlay(base, there).items()}
    return files


def _overlay(base: dict[str, str], there: dict[str, str]) -> dict[str, str]:
    """The overlay's files: templates that are only there, and a kustomization that turns base into there."""
    added = {name: text for name, text in there.items() if name not in base}
    before, after = _objects(base), _objects({name: there[name] for name in there if name in base})
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../manifests", *sorted(added)],
        "patches": [patch for key in before for patch in _patches(before[key], after.get(key))],
    }
    return {**added, "kustomization.yaml": MADE + yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=120)}


def _objects(files: Mapping[str, str]) -> dict[tuple[str, str], Object]:
    documents = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


def _patches(before: Object, after: Object | None) -> list[Object]:
    if after is None:
        name = {key: before["metadata"][key] for key in ("name", "namespace") if key in before["metadata"]}
        identity = {"apiVersion": before["apiVersion"], "kind": before["kind"], "metadata": name}
        return [{"patch": yaml.safe_dump({"$patch": "delete", **identity}, sort_keys=False)}]
    target = {"kind": before["kind"], "name": before["metadata"]["name"]}
    operations = list(_difference(before, after, ""))
    return [{"target": target, "patch": yaml.safe_dump(operations, sort_keys=False)}] if operations else []


def _difference(before: Any, after: Any, path: str) -> Iterator[Object]:
    """JSON Patch from ``before`` to ``after``, always the same one; most lists are replaced whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                yield {"op": "remove", "path": here}
            elif key not in before:
                yield {"op": "add", "path": here, "value": after[key]}
            else:
                yield from _difference(before[key], after[key], here)
    elif _same_names(before, after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _difference(*pair, f"{path}/{index}")
    elif before != after:
        yield {"op": "replace", "path": path, "value": after}


def _same_names(before: Any, after: Any) -> bool:
    """Whether both are lists of the same named things, such as containers."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return False
    names = [[one.get("name") if isinstance(one, dict) else None for one in many] for many in (before, after)]
    return names[0] == names[1] and None not in names[0]


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
