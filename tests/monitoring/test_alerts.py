"""The alerts: valid, explained, and each proven to fire and to stay silent by promtool's unit tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.queries import metric_names
from tests.monitoring.rules import CASES, promtool_test
from tests.monitoring.tools import tool

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "charts" / "data-sync" / "alerts.yaml"
GROUPS = yaml.safe_load(FILE.read_text())["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
PROMTOOL = tool("promtool")
CONTRACT = (ROOT / "docs" / "CONTRACT.md").read_text()

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *arguments], check=False, capture_output=True, text=True, timeout=110)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@needs_promtool
def test_promtool_accepts_the_file_as_it_is() -> None:
    assert promtool("check", "rules", str(FILE)) == ""


@needs_promtool
@pytest.mark.parametrize("alert", sorted(RULES))
def test_it_fires_when_it_should_and_only_then(alert: str, tmp_path: Path) -> None:
    bare = [{key: value for key, value in RULES[alert].items() if key != "annotations"}]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": bare}]}))
    cases = [promtool_test(case, RULES[alert]["labels"]["severity"]) for case in CASES if case.alert == alert]
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(whole))
    assert promtool("test", "rules", str(tmp_path / "test.yaml")) == ""


def test_each_alert_has_cases_of_both_kinds() -> None:
    for fires in (True, False):
        assert {case.alert for case in CASES if case.fires is fires} == set(RULES)


@pytest.mark.parametrize("alert", sorted(RULES))
def test_it_tells_a_person_what_happens_and_where_to_read_on(alert: str) -> None:
    rule = RULES[alert]
    assert alert.startswith("DataSync")
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert not rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    section = re.search(
        rf"^#+ {alert}\n(.+?)(?=^#|\Z)", (ROOT / "docs" / "OPERATIONS.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert section is not None, f"docs/OPERATIONS.md has no section {alert}"
    assert len(section[1]) > 150, "what it means, what to look at, what to do"


@pytest.mark.parametrize("alert", sorted(RULES))
def test_it_asks_for_metrics_that_exist(alert: str) -> None:
    for name in metric_names(RULES[alert]["expr"]):
        assert f"`{name}" in CONTRACT, name


def test_no_section_explains_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^#+ (DataSync\w+)$", (ROOT / "docs" / "OPERATIONS.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(RULES)
