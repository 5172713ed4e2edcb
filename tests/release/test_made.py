"""What is made from the chart is what the checkout holds, and what each overlay is for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from release import __main__ as release
from release import overlays, values_table
from release.helm import OLDEST, kubectl
from release.manifests import MANIFESTS, split
from release.overlays import OVERLAYS
from tests.chart.rendered import helm, missing

HELM_ONLY = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def test_the_checkout_holds_what_the_chart_gives() -> None:
    made = release.made(helm())
    assert [str(path) for path, text in made.items() if not path.exists() or path.read_text() != text] == [], (
        "run `make manifests`"
    )


def test_the_checkout_holds_nothing_else() -> None:
    made = set(release.made(helm()))
    there = {*MANIFESTS.glob("*.yaml"), *(MANIFESTS / "policies").glob("*.yaml"), *OVERLAYS.glob("*/*.yaml")}
    assert {path for path in there - made if path.name != "values.yaml"} == set()


def built(directory: str) -> list[Any]:
    """What ``kubectl kustomize`` makes of ``directory``."""
    program = kubectl()
    if program is None:
        missing("kubectl")
    command = [str(program), "kustomize", directory]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def told_apart(found: Iterable[Any]) -> dict[str, str]:
    """Objects by kind and name, without what only Helm or only a user without it has."""
    result = {}
    for one in found:
        labels = one["metadata"].get("labels", {})
        for key in HELM_ONLY:
            labels.pop(key, None)
        result[f"{one['kind']}/{one['metadata']['name']}"] = json.dumps(one, sort_keys=True)
    result.pop("Namespace/data-sync", None)
    return result


@pytest.mark.parametrize("overlay", overlays.names())
def test_an_overlay_is_the_chart_with_its_values(overlay: str) -> None:
    rendered = split(helm().template(overlays.values(overlay), kubernetes=OLDEST))
    expected = [one for text in rendered.values() for one in yaml.safe_load_all(text) if one]
    assert told_apart(built(f"overlays/{overlay}")) == told_apart(expected)


def test_there_is_an_overlay_for_each_kind_of_cluster_and_each_is_documented() -> None:
    assert overlays.names() == ["k3s", "microshift", "openshift"]
    text = (OVERLAYS / "README.md").read_text()
    assert [name for name in overlays.names() if f"overlays/{name}" not in text] == []


@pytest.mark.parametrize("directory", ["manifests", "manifests/policies"])
def test_the_manifests_build(directory: str) -> None:
    assert built(directory)


def test_hooks_and_what_only_helm_reads_are_left_out() -> None:
    text = """---
# Source: data-sync/templates/a.yaml
kind: A
metadata:
  labels:
    helm.sh/chart: x
    app.kubernetes.io/managed-by: Helm
    kept: label
---
# Source: data-sync/templates/a.yaml
kind: B
---
# Source: data-sync/templates/test-pod.yaml
kind: Pod
---
# Source: data-sync/templates/empty.yaml
# nothing
"""
    found = split(text)
    assert list(found) == ["a.yaml"]
    assert list(yaml.safe_load_all(found["a.yaml"])) == [
        {"kind": "A", "metadata": {"labels": {"kept": "label"}}},
        {"kind": "B"},
    ]


VALUES = """\
# A page's head, parted by a blank line.

# What a is.
# In two lines.
a: ""
b:
  # A map the user fills, <root> | pipe.
  c:
    d: e
  # Last.
  f: [1, 2]
  g: 3
"""


def test_the_table_has_comments_and_defaults() -> None:
    found = values_table.read(VALUES)
    assert [(value.key, value.comment, value.default) for value in found] == [
        ("a", "What a is. In two lines.", ""),
        ("b.c", "A map the user fills, <root> | pipe.", {"d": "e"}),
        ("b.f", "Last.", [1, 2]),
        ("b.g", "", 3),
    ]
    assert values_table.table(found).splitlines()[2:4] == [
        '| `a` | What a is. In two lines. | `""` |',
        r'| `b.c` | A map the user fills, &lt;root&gt; \| pipe. | `{"d": "e"}` |',
    ]


def test_a_readme_without_the_marks_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="lacks"):
        values_table.replace("# Chart\n", VALUES)
