"""One run: violence for so many seconds, then quiet, then the proof."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo.s3server import S3Server
from tests.torture import proof
from tests.torture.killer import HOLDS, START_SECONDS, Killer, Sidecar
from tests.torture.ledger import Ledger
from tests.torture.onlooker import Onlooker
from tests.torture.strangers import SOURCE, TARGET, Bucket, Strangers
from tests.torture.workload import Workload
from tests.walks.sidecar_process import SidecarProcess

log = logging.getLogger(__name__)

INTERVAL: Final = 0.3  # seconds between two cycles
SETTLE_SECONDS: Final = 240.0  # a young file is compared once more after a minute, and the machine may be busy

Actor = tuple[Callable[[random.Random], None], float]


@dataclass
class Verdict:
    """What a run found; ``faults`` is empty when all promises held."""

    seed: int
    faults: list[str] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    contents: int = 0
    looked_at: int = 0
    directory: str = ""

    def __str__(self) -> str:
        said = f"seed {self.seed}: {self.kills} kills, {self.stops} stops, {self.contents} contents that had to stay, "
        said += f"{self.looked_at} versions looked at"
        return "\n  ".join([said + (f"; FAULTS, see {self.directory}:" if self.faults else "; all kept"), *self.faults])


class Stage:
    """Threads that act until told to stop. A fault of an actor's own is a fault of the run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.faults: list[str] = []

    def act(self, name: str, once: Callable[[random.Random], None], pause: float) -> None:
        """Do ``once`` again and again, with pauses of ``pause`` seconds on average."""
        rng = random.Random(f"{self._seed} {name}")

        def run() -> None:
            while not self._stop.wait(rng.random() * 2 * pause):
                try:
                    once(rng)
                except Exception:
                    log.exception("an actor fell", extra={"actor": name})
                    self.faults.append(f"actor {name}: {traceback.format_exc()}")
                    return

        thread = threading.Thread(target=run, name=name)
        self._threads.append(thread)
        thread.start()

    def clear(self) -> None:
        """Everybody stops, in the middle of nothing."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def run(server: S3Server, directory: Path, seed: int, seconds: float, without: tuple[str, ...] = ()) -> Verdict:
    """Violence for ``seconds``, on a fresh bucket and below ``directory``, which keeps logs and ledger.

    ``without`` names actors that stay away; without ``map`` nothing has to wait for the second look after a minute.
    """
    name = f"torture-{seed}-{time.time_ns()}"
    server.create_bucket(name)
    env = SidecarProcess(
        directory,
        egress=[{"source": "out", "target": TARGET}],
        ingress=[{"source": SOURCE, "target": "in"}],
        files=server.storage_files(name),
        DATA_SYNC_INTERVAL=f"{INTERVAL * 1000:.0f}ms",
        DATA_SYNC_RECONCILE_INTERVAL="2s",
        DATA_SYNC_RESCAN_INTERVAL="3s",
    ).env
    (logs := directory / "logs").mkdir()
    ledger, killer, bucket = Ledger(directory / "ledger.jsonl"), Killer(env, logs), Bucket(server, name)
    verdict = Verdict(seed, directory=str(directory))
    try:
        workload, strangers = Workload(directory / "export", ledger, held=INTERVAL), Strangers(bucket, ledger)
        cast = workload.actors() | strangers.actors()
        cast = {name: actor for name, actor in cast.items() if name not in without}
        _violence(verdict, cast, Onlooker(directory / "export", bucket, ledger), killer, ledger, seconds)
        verdict.faults += _quiet(directory / "export", bucket, ledger, killer)
        verdict.faults += ledger.violations + killer.complaints
        verdict.contents = len(ledger.alive())
    finally:
        killer.close()
        ledger.close()
        server.delete_bucket(name)
    return verdict


def _violence(
    verdict: Verdict, cast: dict[str, Actor], onlooker: Onlooker, killer: Killer, ledger: Ledger, seconds: float
) -> None:
    stage, rng = Stage(verdict.seed), random.Random(verdict.seed)
    for name, (once, pause) in cast.items():
        stage.act(name, once, pause)
    stage.act("look at files", onlooker.look_at_files, 0.1)
    stage.act("look at objects", onlooker.look_at_objects, 0.3)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and not ledger.violations and not stage.faults:
            killer.strike(rng)
    finally:
        stage.clear()
    onlooker.look_at_files()
    verdict.faults += stage.faults
    verdict.kills, verdict.stops, verdict.looked_at = killer.kills, killer.stops, onlooker.looked_at


def _quiet(export: Path, bucket: Bucket, ledger: Ledger, killer: Killer) -> list[str]:
    """One sidecar, undisturbed: both sides must come to agree, and then once more after a last word from outside."""
    sidecar, sides = killer.start(), proof.Sides(export, bucket)
    if not sidecar.says(HOLDS, START_SECONDS):
        return [f"{sidecar.log.name} does not take the directory"]
    faults = _until_none(lambda: sides.unsent() + sides.unfetched(), sidecar, ledger)
    said = Strangers(bucket, ledger).last_words()

    def unheard() -> list[str]:
        paths = {key: export / "in" / key.removeprefix(f"{SOURCE}/") for key in said}
        return [
            f"the last word has not come: {key}"
            for key, path in paths.items()
            if not path.exists() or path.read_bytes() != said[key]
        ]

    faults += _until_none(lambda: unheard() + proof.left_over(export, bucket), sidecar, ledger)
    faults += proof.lost(export, bucket, ledger)
    if code := sidecar.end(signal.SIGTERM):
        faults.append(f"{sidecar.log.name}: the last one ended with {code}")
    return faults + proof.inconsistent(export, bucket) + sides.unsent()


def _until_none(look: Callable[[], list[str]], sidecar: Sidecar, ledger: Ledger) -> list[str]:
    """What ``look`` still finds when patience ends; nothing, as soon as it finds nothing."""
    end = time.monotonic() + SETTLE_SECONDS
    said: list[str] = []
    while (found := look()) and time.monotonic() < end:
        if found != said:
            ledger.say("not settled yet", found=found[:20])
            said = found
        if sidecar.process.poll() is not None:
            return [*found, f"{sidecar.log.name} ended by itself"]
        time.sleep(0.5)
    return found
