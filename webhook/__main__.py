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

from runtime import logs
from webhook.settings import Settings, SettingsError

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
    return parser


def _serve(_options: argparse.Namespace) -> int:
    from webhook.admit import admit  # noqa: PLC0415 - the other commands need no server
    from webhook.catalog import EmptyCatalog  # noqa: PLC0415 - likewise
    from webhook.metrics import Metrics  # noqa: PLC0415 - likewise
    from webhook.server import create_app  # noqa: PLC0415 - likewise
    from webhook.serving import TlsError, serve  # noqa: PLC0415 - likewise

    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    metrics = Metrics()
    app = create_app(partial(admit, catalog=EmptyCatalog(), settings=settings.injection), metrics)
    try:
        serve(app, settings, metrics)
    except TlsError as error:
        print(f"webhook: {error}", file=sys.stderr)
        return MISCONFIGURED
    return 0


if __name__ == "__main__":
    sys.exit(main())
