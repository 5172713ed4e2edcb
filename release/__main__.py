"""``python -m release``: what ``make setup``, ``make manifests`` and ``make check`` call."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from release import dashboard, helm, logs_table, manifests, overlays, tools, values_table


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 0 fine, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m release", description="Make what is made from the chart.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, text in (
        (_tools, "put helm and kubectl into the virtual environment"),
        (_manifests, "render manifests/ and the chart's README from the chart"),
        (_logs, "write the table of log lines in docs/LOGS.md from the source"),
        (_lint, "helm lint --strict, by every helm that is here"),
    ):
        commands.add_parser(run.__name__.strip("_"), help=text).set_defaults(run=run)
    return int(parser.parse_args(arguments).run())


def made(program: helm.Helm) -> dict[Path, str]:
    """Every file of this checkout that is made from the chart, with its text."""
    readme = helm.CHART / "README.md"
    table = values_table.replace(readme.read_text(), (helm.CHART / "values.yaml").read_text())
    return dashboard.render() | manifests.render(program) | overlays.render(program) | {readme: table}


def _tools() -> int:
    try:
        tools.install()
    except tools.ToolsError as error:
        if helm.find() is not None:
            return 0
        # A person can work without; the tests that need it say that they were skipped. CI cannot.
        print(f"no helm: {error}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return 0


def _manifests() -> int:
    program = helm.find()
    if program is None:
        print("no helm: put it on PATH, or run `make setup` with a network", file=sys.stderr)
        return 1
    for path, text in made(program).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def _logs() -> int:
    for path, text in logs_table.render().items():
        path.write_text(text)
    return 0


def _lint() -> int:
    programs = helm.find_all()
    if not programs:
        print("chart not linted: no helm here", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    for program in programs:
        for kubernetes in (helm.OLDEST, helm.NEWEST):
            try:
                program.lint(kubernetes=kubernetes)
            except helm.HelmError as error:
                print(error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
