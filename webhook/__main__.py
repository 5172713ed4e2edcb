"""``python -m webhook``: serve admission, or inject and explain manifests without a cluster.

The composition root: reads settings, puts the parts together, and turns what they say into output
and exit codes (0 fine, 1 denied, 2 misconfigured).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from runtime import logs
from runtime.environment import SettingsError
from webhook.commands import explain_manifests, inject_manifests
from webhook.injection_settings import InjectionSettings
from webhook.manifests import ManifestError
from webhook.settings import CATALOG, TLS_CERT, TLS_KEY, Settings

if TYPE_CHECKING:
    from webhook.catalog import EmptyCatalog
    from webhook.cluster_catalog import ClusterCatalog
    from webhook.metrics import Metrics
    from webhook.tls import Tls

DENIED = 1
MISCONFIGURED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named by ``arguments`` (default: the process's own) and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SettingsError as error:
        for fault in error.faults:
            print(f"webhook: {fault}", file=sys.stderr)
        return MISCONFIGURED
    except (ManifestError, OSError, UnicodeDecodeError) as error:
        print(f"webhook: {error}", file=sys.stderr)
        return MISCONFIGURED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m webhook",
        description="Adds /export and the data-sync sidecar to pods. Without a command: serve admission over TLS, "
        "configured by WEBHOOK_* variables.",
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve POST /mutate (the default)", description="Serve POST /mutate.")
    serve.set_defaults(run=_serve)
    inject = commands.add_parser(
        "inject",
        help="print manifests with every pod injected",
        description="Print the manifests of FILE with every pod and pod template injected, as admission would. "
        "Exit 1 when one of them is denied.",
    )
    inject.add_argument("--for", dest="target", choices=["podman"], help="print what `podman kube play` accepts")
    explain = commands.add_parser(
        "explain",
        help="say for each pod what would be done, and why",
        description="Say for each pod and pod template in FILE what would be done, and why.",
    )
    for command, run in ((inject, _inject), (explain, _explain)):
        command.add_argument("-f", "--file", required=True, help="a YAML file of manifests; - for standard input")
        command.add_argument("-n", "--namespace", default="", help="the namespace of manifests that name none")
        command.set_defaults(run=run)
    return parser


def _inject(options: argparse.Namespace) -> int:
    settings = InjectionSettings.from_env(os.environ)
    podman = options.target == "podman"
    result = inject_manifests(_read(options.file), settings, namespace=options.namespace, for_podman=podman)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if result.denied:
        for message in result.denied:
            print(f"denied: {message}", file=sys.stderr)
        return DENIED
    print(result.text, end="")
    return 0


def _explain(options: argparse.Namespace) -> int:
    settings = InjectionSettings.from_env(os.environ)
    print(explain_manifests(_read(options.file), settings, namespace=options.namespace), end="")
    return 0


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8") as file:
        return file.read()


def _serve(_options: argparse.Namespace) -> int:
    from webhook.admit import admit  # noqa: PLC0415 - the other commands need no server
    from webhook.metrics import Metrics  # noqa: PLC0415 - likewise
    from webhook.server import create_app  # noqa: PLC0415 - likewise
    from webhook.serving import serve  # noqa: PLC0415 - likewise

    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    metrics = Metrics()
    tls = _tls(settings, metrics)
    catalog = _catalog(settings, metrics)
    if tls is None or catalog is None:
        return MISCONFIGURED
    app = create_app(partial(admit, catalog=catalog, settings=settings.injection), metrics, catalog.check)
    serve(app, settings, metrics, tls, [catalog])
    return 0


def _catalog(settings: Settings, metrics: Metrics) -> ClusterCatalog | EmptyCatalog | None:
    """What the webhook knows of the cluster; None, and said, where that cannot work."""
    from webhook.access import AccessError, from_environment  # noqa: PLC0415 - likewise
    from webhook.catalog import EmptyCatalog  # noqa: PLC0415 - likewise
    from webhook.cluster import Cluster  # noqa: PLC0415 - likewise
    from webhook.cluster_catalog import ClusterCatalog  # noqa: PLC0415 - likewise

    if settings.catalog == "none":
        return EmptyCatalog()
    try:
        catalog = ClusterCatalog(Cluster(from_environment(os.environ)))
    except AccessError as error:
        print(f"webhook: {CATALOG}=cluster (the default): {error}; or set it to 'none'", file=sys.stderr)
        return None
    metrics.catalog(catalog.age)
    return catalog


def _tls(settings: Settings, metrics: Metrics) -> Tls | None:
    """Where certificates come from; None, and said, where that cannot work."""
    from webhook.access import AccessError, from_environment  # noqa: PLC0415 - likewise
    from webhook.cluster import Cluster  # noqa: PLC0415 - likewise
    from webhook.rotation import Rotation  # noqa: PLC0415 - likewise
    from webhook.tls import FileTls, MemoryTls, TlsError  # noqa: PLC0415 - likewise

    try:
        if settings.tls_cert:
            files = FileTls(settings.tls_cert, settings.tls_key, metrics.certificate)
            files.load()
            return files
        cluster = Cluster(from_environment(os.environ))
    except TlsError as error:
        print(f"webhook: {error}", file=sys.stderr)
        return None
    except AccessError as error:
        print(f"webhook: {TLS_CERT} and {TLS_KEY} are not set, and to make its own: {error}", file=sys.stderr)
        return None
    memory = MemoryTls(metrics.certificate)
    rotation = Rotation(cluster, settings.self_certificates, memory.install)
    memory.run, memory.ready = rotation.run, rotation.check
    return memory


if __name__ == "__main__":
    sys.exit(main())
