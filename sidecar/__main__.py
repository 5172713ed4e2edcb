"""The sidecar's command line, and the one place where its parts are put together.

``python -m sidecar``          sync until SIGTERM
``python -m sidecar --once``   one full cycle; exit 0 in sync, 1 some file failed, 2 misconfigured
``python -m sidecar init``     what the init container does: owner record and directory rights
``python -m sidecar wait``     wait for the sidecar beside this container to have sent everything; exit 0, else 1
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections.abc import Mapping as Dict

from contract.spec import SpecError
from contract.storage import Credentials, Storage
from runtime import VERSION
from runtime.endpoints import Endpoints
from runtime.logs import configure, fields
from runtime.shutdown import Shutdown
from runtime.tls import TlsFiles
from sidecar.budget import RequestBudget
from sidecar.engine import MISCONFIGURED, Engine
from sidecar.errors import Misconfigured, SyncError
from sidecar.link import Opened, OpenStore
from sidecar.metrics import Metrics
from sidecar.ownership import prepare
from sidecar.page import document
from sidecar.progress import Progress
from sidecar.report import about_this, report
from sidecar.settings import OFF, Settings
from sidecar.waiting import wait

log = logging.getLogger("sidecar")


def main(arguments: list[str] | None = None, env: Dict[str, str] | None = None) -> int:
    """Run the command that ``arguments`` name with the environment ``env``; returns the exit code."""
    options = _parser().parse_args(arguments)
    configure()
    if options.command == "wait":
        return 0 if wait(options.seconds) else 1
    try:
        settings = Settings.from_env(os.environ if env is None else env)
    except SpecError as error:
        for fault in error.faults:
            log.error("misconfigured", **fields(error=fault))
        return MISCONFIGURED
    configure(settings.log_level)
    if options.command == "init":
        return _init(settings, options.uid, options.gid)
    return _sync(settings, once=options.once)


def _sync(settings: Settings, *, once: bool) -> int:
    _log_settings(settings)
    shutdown = Shutdown(settings.grace_period)
    shutdown.install()
    progress = Progress()
    metrics = Metrics(progress)
    budget = RequestBudget(settings.request_budget, settings.state_dir)
    engine = Engine(settings, progress, metrics, shutdown, _store_opener(shutdown, metrics, budget), budget=budget)
    if once:
        return engine.once()
    about = about_this(settings, time.time())
    endpoints = Endpoints(
        settings.listen,
        livez=engine.livez,
        readyz=engine.readyz,
        registry=metrics.registry,
        status=lambda with_names: report(progress, metrics.history, about, with_names=with_names),
        page=document(),
        access=settings.access,
        tls=TlsFiles(*settings.listen_tls) if settings.listen_tls else None,
    )
    if settings.listen != OFF and not _listen(endpoints, settings.listen):
        return MISCONFIGURED
    try:
        engine.run()
    except Misconfigured as error:
        log.error("misconfigured", **fields(error=str(error)))
        return MISCONFIGURED
    finally:
        endpoints.stop()
    return 0


def _listen(endpoints: Endpoints, listen: str) -> bool:
    try:
        port = endpoints.start()
    except (OSError, ValueError) as error:  # ValueError: a certificate's file that is no PEM at all
        log.error("misconfigured", **fields(error=f"DATA_SYNC_LISTEN: {listen}: {error}"))
        return False
    log.info("listening", **fields(listen=listen, port=port))
    return True


def _store_opener(shutdown: Shutdown, metrics: Metrics, budget: RequestBudget) -> OpenStore:
    # Imported here: `init` and `--help` need no S3 library, and a device starts many of them.
    from sidecar.remote.retry import Retry, RetryingStore, RetryPolicy  # noqa: PLC0415
    from sidecar.remote.s3 import S3Store  # noqa: PLC0415

    def on_request(operation: str, code: str) -> None:
        metrics.on_request(operation, code)
        budget.count(operation, code)

    def open_store(storage: Storage, credentials: Credentials) -> Opened:
        retry = Retry(RetryPolicy(), shutdown.wait, random.random, time.monotonic, budget.allow)
        bucket = S3Store(storage, credentials, attempt=retry.call, on_request=on_request, on_skew=metrics.on_skew)
        return Opened(RetryingStore(bucket, retry), bucket.close)

    return open_store


def _init(settings: Settings, uid: int | None, gid: int | None) -> int:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        aside = prepare(settings.export_dir, settings.spec.owner, uid, gid, stamp)
    except SyncError as error:
        log.error("directory cannot be prepared", **fields(reason=error.reason, error=str(error)))
        return 1
    if aside is not None:
        log.warning("another owner's files were set aside", **fields(directory=settings.export_dir, aside=aside))
    log.info("directory prepared", **fields(directory=settings.export_dir, uid=uid, gid=gid))
    return 0


def _log_settings(settings: Settings) -> None:
    spec = settings.spec
    log.info(
        "settings",
        **fields(
            version=VERSION,
            mappings=[{"direction": mapping.direction.value, **mapping.to_json()} for mapping in spec.mappings],
            interval=spec.interval,
            credentials=spec.credentials.value,
            export_dir=settings.export_dir,
            state_dir=settings.state_dir,
            storage_dir=settings.storage_dir,
            reconcile_interval=settings.reconcile_interval,
            ingress_max_bytes=settings.ingress_max_bytes,
            min_free_bytes=settings.floor.bytes,
            min_free_share=settings.floor.share,
            bandwidth=settings.bandwidth,
            request_budget=settings.request_budget,
            grace_period=settings.grace_period,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sidecar", description="Syncs /export with an S3 bucket.")
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--once", action="store_true", help="one full cycle; exit 0 in sync, 1 failed, 2 misconfigured")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    init = commands.add_parser("init", help="settle whose directory this is and make its top writable")
    init.add_argument("--uid", type=int, help="the user that the pod runs as")
    init.add_argument("--gid", type=int, help="the group that shares the pod's volumes")
    waiting = commands.add_parser("wait", help="wait until the sidecar of this pod has sent everything; exit 0, else 1")
    waiting.add_argument("--seconds", type=float, default=300.0, help="how long at most")
    return parser


if __name__ == "__main__":
    sys.exit(main())
