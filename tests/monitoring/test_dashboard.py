"""The dashboard: what the checkout holds is what its source makes, and every panel is whole."""

from __future__ import annotations

import json
import re

import pytest
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from release import dashboard, panels
from tests.monitoring.queries import metric_names
from tests.monitoring.test_alerts import CONTRACT

PANELS = [panel for panels in panels.ROWS.values() for panel in panels]
MADE = json.loads(dashboard.FILE.read_text())


def test_the_checkout_holds_what_the_source_makes() -> None:
    assert dashboard.render() == {dashboard.FILE: dashboard.FILE.read_text()}, "run `make manifests`"


def test_grafanas_own_library_reads_it_back() -> None:
    read = Dashboard.from_json(MADE)
    assert read.title == "Data Sync"
    assert len(read.panels or []) == len(PANELS) + len(panels.ROWS)
    names = [one["name"] for one in MADE["templating"]["list"]]
    assert names == ["datasource", "namespace", "device", "workload"]


def test_panels_stand_beside_and_below_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in MADE["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + across, place["y"] + down) for across in range(place["w"]) for down in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_has_a_unit_a_sentence_and_metrics_that_exist(panel: panels.Panel) -> None:
    known = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
    assert panel.unit in known
    assert panel.text.endswith(".")
    for query in panels.expressions(panel).values():
        promql = query.replace("$__rate_interval", "1m")
        for name in metric_names(promql):
            assert f"`{name}" in CONTRACT.partition("## Not built yet")[0], name


def test_nothing_is_chosen_by_a_label_that_no_metric_has() -> None:
    text = dashboard.FILE.read_text()
    variables = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert variables == {"datasource", "namespace", "device", "workload"}
