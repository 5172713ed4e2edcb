"""The sidecar's command line, and the one place where its parts are put together.

``python -m sidecar``          sync until SIGTERM
``python -m sidecar --once``   one full cycle; exit 0 in sync, 1 some file failed, 2 misconfigured
``python -m sidecar init``     what the init container does: owner record and directory rights
``python -m sidecar wait``     wait for the sidecar beside this container to have sent everything; exit 0, else 1
``python -m sidecar explain PATH``, ``verify``, ``--once --dry-run``: look, and change nothing
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from collections.abc import Mapping as Dict
from contextlib import closing

from contract.storage import Credentials, Storage
from runtime import VERSION
from runtime.endpoints import Endpoints
from runtime.environment import SettingsError
from runtime.logs import configure, fields
from runtime.shutdown import Shutdown, release_signals
from runtime.tls import TlsFiles
from sidecar.budget import RequestBudget
from sidecar.commands.initialise import initialise
from sidecar.commands.parser import parse
from sidecar.commands.waiting import wait
from sidecar.engine import MISCONFIGURED, SOME_FAILED, Engine
from sidecar.errors import Misconfigured, SyncError
from sidecar.link import Opened, OpenStore
from sidecar.local.syscalls import give_back_large_blocks
from sidecar.loop import pausing
from sidecar.mounted import Waiting
from sidecar.page import document
from sidecar.reporting.metrics import Metrics
from sidecar.reporting.progress import Progress
from sidecar.reporting.report import about_this, report
from sidecar.settings import OFF, Settings

log = logging.getLogger("sidecar")


def main(arguments: list[str] | None = None, env: Dict[str, str] | None = None) -> int:
    """Run the command that ``arguments`` name with the environment ``env``; returns the exit code."""
    options = parse(arguments)
    configure()
    if options.command or options.dry_run:
        release_signals()  # whoever syncs does so once it can answer them
    if options.command == "wait":
        return 0 if wait(options.seconds) else 1
    try:
        settings = Settings.from_env(os.environ if env is None else env)
    except SettingsError as error:
        for fault in error.faults:
            log.error("misconfigured", **fields(error=fault))
        return MISCONFIGURED
    if options.command == "init":
        configure(settings.log_level)
        return initialise(settings, options.uid, options.gid)
    if options.command or options.dry_run:
        configure("ERROR")  # what a person asked for is printed; the log would only stand between
        return _look(settings, options)
    configure(settings.log_level)
    return _sync(settings, once=options.once)


def _look(settings: Settings, options: argparse.Namespace) -> int:
    # Imported here: a device runs many sidecars, and none of them should hold what is asked once.
    from sidecar.commands.dry_run import DryRun  # noqa: PLC0415
    from sidecar.commands.explain import Explain  # noqa: PLC0415
    from sidecar.commands.scene import set_scene  # noqa: PLC0415
    from sidecar.commands.verify import Verify  # noqa: PLC0415

    shutdown = Shutdown(settings.grace_period)
    opener = _store_opener(shutdown, lambda _operation, _code: None, lambda _skew: None, lambda _operation: None, None)
    try:
        with closing(set_scene(settings, opener)) as scene:
            if options.command == "explain":
                return Explain(scene, remote=options.remote).run(options.path)
            if isinstance(scene.storage, Waiting):
                raise Misconfigured("open", "the bucket", scene.storage.reason)
            if options.command == "verify":
                return Verify(scene, bodies=options.bodies, one_way=options.one_way).run()
            return DryRun(scene, time.time).run()
    except SyncError as error:
        print(error, file=sys.stderr)
        return MISCONFIGURED if isinstance(error, Misconfigured) else SOME_FAILED
    except KeyboardInterrupt:
        return SOME_FAILED


def _sync(settings: Settings, *, once: bool) -> int:
    _log_settings(settings)
    give_back_large_blocks()
    shutdown = Shutdown(settings.grace_period)
    shutdown.install()
    progress = Progress()
    metrics = Metrics(progress)
    budget = RequestBudget(settings.request_budget, settings.state_dir)

    def on_request(operation: str, code: str) -> None:
        metrics.on_request(operation, code)
        budget.count(operation, code)

    opener = _store_opener(shutdown, on_request, metrics.on_skew, budget.allow, settings.state_dir)
    engine = Engine(settings, progress, metrics, shutdown, opener, budget=budget)
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


def _store_opener(
    shutdown: Shutdown,
    on_request: Callable[[str, str], None],
    on_skew: Callable[[float], None],
    allow: Callable[[str], None],
    state_dir: str | None,
) -> OpenStore:
    # Imported here: `init` and `--help` need no S3 library, and a device starts many of them.
    from sidecar.remote.retry import Retry, RetryingStore, RetryPolicy  # noqa: PLC0415
    from sidecar.remote.s3 import S3Store  # noqa: PLC0415

    def open_store(storage: Storage, credentials: Credentials) -> Opened:
        retry = Retry(RetryPolicy(), pausing(shutdown.wait), random.random, time.monotonic, allow)
        bucket = S3Store(
            storage,
            credentials,
            attempt=retry.call,
            on_request=on_request,
            on_skew=on_skew,
            state_dir=state_dir,
        )
        return Opened(RetryingStore(bucket, retry), bucket.close)

    return open_store


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
