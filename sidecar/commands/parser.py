"""The command line: what may be asked, and in which words."""

from __future__ import annotations

import argparse

from runtime import VERSION


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options in ``arguments`` (of the process where None); ends it with code 2 where they make no sense."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.dry_run and not options.once:
        parser.error("--dry-run goes with --once: it prints what one cycle would do")
    if options.once and options.command:
        parser.error(f"--once and {options.command} are two commands")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sidecar",
        description="Syncs /export with an S3 bucket, until SIGTERM.",
        epilog="explain, verify and --dry-run change nothing and may be run beside the sidecar, by kubectl exec.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--once", action="store_true", help="one full cycle; exit 0 in sync, 1 failed, 2 misconfigured")
    parser.add_argument("--dry-run", action="store_true", help="with --once: print what it would do, and do nothing")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    explain = commands.add_parser("explain", help="why one file is synced or isn't; exit 0 in sync, 1 not")
    explain.add_argument("path", metavar="PATH", help="absolute, or below the exported directory")
    explain.add_argument("--remote", action="store_true", help="ask the bucket, too")
    verify = commands.add_parser("verify", help="compare both sides by content; exit 0 the same, 1 any difference")
    verify.add_argument("--bodies", action="store_true", help="read every object, whatever its metadata says")
    verify.add_argument("--one-way", action="store_true", help="what only the receiving side has is no difference")
    init = commands.add_parser("init", help="settle whose directory this is and make its top writable")
    init.add_argument("--uid", type=int, help="the user that the pod runs as")
    init.add_argument("--gid", type=int, help="the group that shares the pod's volumes")
    waiting = commands.add_parser("wait", help="wait until the sidecar of this pod has sent everything; exit 0, else 1")
    waiting.add_argument("--seconds", type=float, default=300.0, help="how long at most")
    return parser
