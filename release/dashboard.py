"""The chart's Grafana dashboard: the rows of ``panels.py`` as Grafana's JSON.

Positions, types and JSON are Grafana's own library's, which so checks the schema too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as queries

from release.panels import ROWS, Panel, expressions

FILE: Final = Path(__file__).resolve().parents[1] / "charts" / "data-sync" / "dashboards" / "data-sync.json"
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def render() -> dict[Path, str]:
    """The dashboard's file and its text."""
    return {FILE: json.dumps(dashboard(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"}


def dashboard() -> models.Dashboard:
    """All rows of :data:`~release.panels.ROWS`, with what is chosen at the top."""
    made = (
        grafana.Dashboard("Data Sync")
        .uid("flotta-data-sync")
        .description("What Flotta Data Sync moves between devices and buckets, and what waits.")
        .tags(["data-sync"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(grafana.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name in ("namespace", "device", "workload"):
        made.with_variable(_variable(name))
    for title, panels in ROWS.items():
        made.with_row(grafana.Row(title))
        for panel in panels:
            made.with_panel(_panel(panel))
    return made.build()


def _variable(name: str) -> grafana.QueryVariable:
    return (
        grafana.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(f"label_values(data_sync_lock_held, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")  # also what carries no such label
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel) -> Any:
    kinds: dict[str, Any] = {"series": timeseries.Panel, "stat": stat.Panel, "table": table.Panel}
    made = kinds[panel.kind]()
    made.title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE).min(0).span(panel.width)
    made.height(4 if panel.kind == "stat" else 8)
    for number, (legend, query) in enumerate(expressions(panel).items()):
        made.with_target(_target(panel, chr(ord("A") + number), legend, query))
    made.thresholds(_thresholds(panel.thresholds))
    if panel.kind == "series":
        made.line_width(2).fill_opacity(8).show_points(words.VisibilityMode.NEVER)
        made.legend(common.VizLegendOptions().show_legend(True).placement(words.LegendPlacement.BOTTOM).calcs(["last"]))
        made.tooltip(common.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI))
    if panel.kind == "table":
        _as_table(made, panel)
    return made


def _target(panel: Panel, letter: str, legend: str, query: str) -> Any:
    target: Any = prometheus.Dataquery().expr(query).ref_id(letter).datasource(SOURCE)
    if panel.kind == "table":
        return target.format(queries.PromQueryFormat.TABLE).instant()
    if panel.kind == "stat":
        return target.instant()
    return target.legend_format(legend)


def _as_table(made: Any, panel: Panel) -> None:
    """One row a device: the queries side by side under their legends, each in its unit."""
    columns = {f"Value #{chr(ord('A') + number)}": legend for number, legend in enumerate(panel.queries)}
    made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": {"Time": True}, "renameByName": columns}
    made.with_transformation(models.DataTransformerConfig(id_val="organize", options=organize))
    for column, unit in panel.options.items():
        made.override_by_name(column, [models.DynamicConfigValue(id_val="unit", value=unit)])


def _thresholds(limits: tuple[float, float] | None) -> grafana.ThresholdsConfig:
    steps = [models.Threshold(value=None, color="green")]
    if limits is not None:
        steps += [models.Threshold(value=limits[0], color="yellow"), models.Threshold(value=limits[1], color="red")]
    return grafana.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
