"""``python -m controller``: keep EdgeDevices and EdgeWorkloads as they should be.

The composition root: reads settings, puts the parts together, and turns what they say into exit codes
(0 fine, 1 the API server refused, 2 misconfigured).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from controller.settings import Settings, SettingsError
from runtime import logs

MISCONFIGURED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named by ``arguments`` (default: the process's own) and return its exit code."""
    options = _parser().parse_args(arguments)
    from controller.cluster import ConfigurationError  # noqa: PLC0415 - --help needs no client

    try:
        return int(options.run(options))
    except SettingsError as error:
        for fault in error.faults:
            print(f"controller: {fault}", file=sys.stderr)
        return MISCONFIGURED
    except (ConfigurationError, OSError) as error:
        print(f"controller: {error}", file=sys.stderr)
        return MISCONFIGURED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller",
        description="Gives EdgeDevices their storage and EdgeWorkloads their pods, and keeps both statuses true. "
        "Without a command: run, configured by CONTROLLER_* variables.",
    )
    parser.add_argument("--kubeconfig", default="", help="how to reach the cluster; in a pod: its service account")
    parser.add_argument("--context", default="", help="the context of the kubeconfig to use")
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run = commands.add_parser("run", help="run (the default)", description="Run until SIGTERM.")
    run.set_defaults(run=_run)
    return parser


def _run(options: argparse.Namespace) -> int:
    from controller.assembly import assemble  # noqa: PLC0415 - --help needs no client
    from controller.cluster import Cluster, load_configuration  # noqa: PLC0415 - likewise
    from runtime.shutdown import Shutdown  # noqa: PLC0415 - likewise

    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    cluster = Cluster(load_configuration(options.kubeconfig, options.context))
    controller = assemble(settings, cluster)
    shutdown = Shutdown(grace=20)
    shutdown.install()
    controller.run(shutdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
