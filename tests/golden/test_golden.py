"""Golden pods: ``<name>/pod.yaml`` → ``<name>/expected.yaml``.

A case is two files. To rewrite the expected ones after a wanted change, run
``REWRITE_GOLDEN=1 pytest tests/golden`` and read the diff; where ``CI`` is set that is refused.
A pod that is not injected has a comment for its expectation: the decision in one line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.admit import process
from webhook.catalog import Catalog
from webhook.decision import Inject
from webhook.facts import catalog_of
from webhook.injection_settings import InjectionSettings
from webhook.manifests import dump, load
from webhook.patch import apply, diff

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/pod.yaml"))
SETTINGS = InjectionSettings(sidecar_image="data-sync-sidecar:golden", flotta_namespace="flotta")


def read(case: str) -> tuple[Any, str, Catalog]:
    """Pod, namespace and catalog; further documents in pod.yaml are what the cluster holds."""
    pod, *rest = load((HERE / case / "pod.yaml").read_text())
    namespace = pod["metadata"].get("namespace", "edge")
    return pod, namespace, catalog_of(rest, namespace)


def outcome_text(case: str) -> str:
    pod, namespace, catalog = read(case)
    outcome = process(pod, namespace, catalog, SETTINGS)
    decision = outcome.decision
    lines = [] if isinstance(decision, Inject) else [f"# {type(decision).__name__}: {decision.message}"]
    warnings = getattr(decision, "warnings", ())
    lines += [f"# warning: {warning}" for warning in warnings]
    text = dump([outcome.pod]) if isinstance(decision, Inject) else ""
    return "".join(line + "\n" for line in lines) + text


@pytest.mark.parametrize("case", CASES)
def test_pod_becomes_the_expected_pod(case: str) -> None:
    expected = HERE / case / "expected.yaml"
    actual = outcome_text(case)
    if os.environ.get("REWRITE_GOLDEN"):
        assert not os.environ.get("CI"), "expectations are rewritten by people, not by CI"
        expected.write_text(actual)
    assert expected.read_text() == actual


@pytest.mark.parametrize("case", CASES)
def test_admitting_the_result_again_changes_nothing(case: str) -> None:
    pod, namespace, catalog = read(case)
    once = process(pod, namespace, catalog, SETTINGS)
    assert process(once.pod, namespace, catalog, SETTINGS).pod == once.pod


@pytest.mark.parametrize("case", CASES)
def test_the_patch_makes_the_expected_pod(case: str) -> None:
    pod, namespace, catalog = read(case)
    after = process(pod, namespace, catalog, SETTINGS).pod
    assert apply(pod, diff(pod, after)) == after


def test_every_case_has_both_files() -> None:
    assert CASES
    assert {path.parent.name for path in HERE.glob("*/expected.yaml")} == set(CASES)


def test_expectations_are_yaml() -> None:
    for case in CASES:
        yaml.safe_load((HERE / case / "expected.yaml").read_text())
