"""``python -m controller``: keep EdgeDevices and EdgeWorkloads as they should be.

The composition root: reads settings, puts the parts together, and turns what they say into exit codes
(0 fine, 1 something is left to do or the API server refused, 2 misconfigured).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller.settings import Settings
from runtime import logs
from runtime.environment import SettingsError

if TYPE_CHECKING:
    from controller.cluster import Cluster

REFUSED = 1
MISCONFIGURED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named by ``arguments`` (default: the process's own) and return its exit code."""
    options = _parser().parse_args(arguments)
    from controller.cluster import ConfigurationError  # noqa: PLC0415 - --help needs no client
    from controller.errors import ClusterError  # noqa: PLC0415 - likewise

    try:
        return int(options.run(options))
    except SettingsError as error:
        for fault in error.faults:
            print(f"controller: {fault}", file=sys.stderr)
        return MISCONFIGURED
    except (ConfigurationError, OSError) as error:
        print(f"controller: {error}", file=sys.stderr)
        return MISCONFIGURED
    except ClusterError as error:
        print(f"controller: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:  # the way out of --watch
        return 0


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
    status = commands.add_parser("status", help="devices and workloads at a glance")
    status.add_argument(
        "--watch", nargs="?", const=2.0, default=0.0, type=float, metavar="SECONDS", help="again and again"
    )
    status.set_defaults(run=_status)
    explain = commands.add_parser("explain", help="what is known of a pod, and why it is as it is")
    explain.add_argument("what", choices=["pod"])
    explain.add_argument("name")
    explain.set_defaults(run=_explain)
    repair = commands.add_parser(
        "repair",
        help="pods that missed injection",
        description="List pods that ask for the sidecar and have none. Exit 1 when some are left.",
    )
    repair.add_argument("--restart", action="store_true", help="evict those that something makes anew")
    repair.set_defaults(run=_repair)
    letting_go = commands.add_parser(
        "let-go",
        help="take our finalizers off devices and workloads; for after an uninstall",
        description="Take our finalizers off devices and workloads, so that they can be deleted without a controller. "
        "Claims and data stay.",
    )
    letting_go.add_argument("--lease", metavar="NAMESPACE/NAME", default="", help="the controllers' Lease, removed too")
    letting_go.set_defaults(run=_let_go)
    for command in (status, repair):
        command.add_argument("-o", "--output", choices=["table", "json"], default="table")
    for command in (status, explain, repair):
        command.add_argument("-n", "--namespace", default="", help="default: explain: default; others: all")
    return parser


def _status(options: argparse.Namespace) -> int:
    from controller.cli import View, show_status  # noqa: PLC0415 - --help needs no client

    view = View(options.namespace, as_json=options.output == "json")
    return show_status(_connect(options), view, every=options.watch)


def _explain(options: argparse.Namespace) -> int:
    from controller.cli import explain_pod  # noqa: PLC0415 - --help needs no client

    return explain_pod(_connect(options), options.namespace or "default", options.name)


def _repair(options: argparse.Namespace) -> int:
    from controller.cli import View, repair  # noqa: PLC0415 - --help needs no client

    view = View(options.namespace, as_json=options.output == "json")
    return repair(_connect(options), view, restart=options.restart)


def _let_go(options: argparse.Namespace) -> int:
    from controller.letting_go import let_go, remove_lease  # noqa: PLC0415 - --help needs no client

    cluster = _connect(options)
    print(f"finalizers taken off {let_go(cluster)} devices and workloads")
    if options.lease:
        remove_lease(cluster, options.lease)
    return 0


def _connect(options: argparse.Namespace) -> Cluster:
    from controller.cluster import Cluster, load_configuration  # noqa: PLC0415 - --help needs no client

    return Cluster(load_configuration(options.kubeconfig, options.context))


def _run(options: argparse.Namespace) -> int:
    from controller.assembly import assemble  # noqa: PLC0415 - --help needs no client
    from runtime.shutdown import Shutdown  # noqa: PLC0415 - likewise

    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    controller = assemble(settings, _connect(options))
    shutdown = Shutdown(grace=20)
    shutdown.install()
    controller.run(shutdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
