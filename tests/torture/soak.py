"""``python -m tests.torture.soak [--minutes M]``: one sidecar at mixed load for long, and nothing of it may grow.

Resident memory, descriptors, threads and inotify watches are read from ``/proc`` all the time. The number of
files stays about the same, so whatever grows is the sidecar's own. Writes ``benchmarks/SOAK.md``; exits
1 where something grew. The load is ``workload``'s and ``strangers``', slowed down; nobody is killed here.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from demo.s3server import S3Server
from runtime import VERSION
from tests.torture.ledger import Ledger
from tests.torture.run import Stage
from tests.torture.strangers import SOURCE, TARGET, Bucket, Strangers
from tests.torture.workload import Workload
from tests.walks.sidecar_process import SidecarProcess

SLOWER: Final = 4.0  # than the torture's actors
SAMPLE_SECONDS: Final = 5.0
ROWS: Final = 12  # of the table
REPORT: Final = Path(__file__).parents[2] / "benchmarks/SOAK.md"
_BARS: Final = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process is made of at one moment; ``seconds`` since the start."""

    seconds: float
    rss_mib: float
    descriptors: float
    threads: float
    watches: float
    cpu_seconds: float
    sent: float
    fetched: float


# What may be added between the second quarter and the last: noise of allocators and of what is under way.
ALLOWED: Final = {"rss_mib": 6.0, "descriptors": 6.0, "threads": 4.0, "watches": 6.0}


def take(sidecar: SidecarProcess, started: float) -> Sample:
    """Look at the process, and ask it how much it has done."""
    assert sidecar._process is not None
    proc = Path(f"/proc/{sidecar._process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    times = (proc / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        time.monotonic() - started,
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(proc / "fd")),
        int(status["Threads"]),
        sum(_watches(file) for file in (proc / "fdinfo").iterdir()),
        (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        sidecar.metric('files_transferred_total{direction="egress"}'),
        sidecar.metric('files_transferred_total{direction="ingress"}'),
    )


def grown(samples: list[Sample]) -> dict[str, float]:
    """How much more there is in the last quarter than in the second, by the median; what is more than allowed."""
    quarter = len(samples) // 4
    found = {}
    for name, allowed in ALLOWED.items():
        values = [getattr(sample, name) for sample in samples]
        growth = statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])
        if growth > allowed:
            found[name] = round(growth, 1)
    return found


def report(samples: list[Sample], verdict: str) -> str:
    """The page: figures over time, and a small plot of each."""
    names = [field.name for field in fields(Sample)]
    lines = [
        "# Soak",
        "",
        (
            f"{samples[-1].seconds / 60:.0f} minutes of one sidecar at mixed load (`make soak`), version {VERSION}, "
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
            f"Python {platform.python_version()}, SeaweedFS. Writers, appenders, renamers, truncaters, in-place "
            "and mmap writers, edits of what ingress brought, and strangers in the bucket; one cycle a second."
        ),
        "",
        f"**{verdict}** Compared are the medians of the second and the last quarter.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---:|" * len(names),
    ]
    step = max(1, len(samples) // ROWS)
    lines += [
        "| " + " | ".join(f"{getattr(one, name):.0f}" for name in names) + " |"
        for one in [*samples[::step], samples[-1]]
    ]
    lines += ["", "```"]
    lines += [f"{name:>12} {_plot([getattr(one, name) for one in samples])}" for name in ALLOWED]
    return "\n".join([*lines, "```", ""])


def soak(server: S3Server, directory: Path, seconds: float) -> list[Sample]:
    """Samples of a sidecar that works for ``seconds``."""
    name = f"soak-{time.time_ns()}"
    server.create_bucket(name)
    ledger, bucket, samples = Ledger(directory / "ledger"), Bucket(server, name), []
    workload, strangers = Workload(directory / "export", ledger, held=1.0), Strangers(bucket, ledger)
    cast = workload.actors() | strangers.actors()
    cast["tidy"] = (lambda _rng: _tidy(directory / "export"), 2.0)
    del cast["usurp"]  # more than once an hour on one key is contention, by promise
    stage = Stage(1)
    with SidecarProcess(
        directory,
        egress=[{"source": "out", "target": TARGET}],
        ingress=[{"source": SOURCE, "target": "in"}],
        files=server.storage_files(name),
        DATA_SYNC_INTERVAL="1s",
        DATA_SYNC_RESCAN_INTERVAL="30s",
        DATA_SYNC_RECONCILE_INTERVAL="60s",
    ) as sidecar:
        started = time.monotonic()
        for actor, (once, pause) in cast.items():
            stage.act(actor, once, pause * SLOWER)
        try:
            while time.monotonic() - started < seconds:
                time.sleep(SAMPLE_SECONDS)
                samples.append(take(sidecar, started))
                sidecar.wait_for(lambda: True, "it lives")
                assert not stage.faults, stage.faults
        finally:
            stage.clear()
            ledger.close()
    server.delete_bucket(name)
    return samples


def _tidy(export: Path) -> None:
    """Keep the number of files as it is: what applications do with old logs, and people with conflict copies."""
    old = sorted((export / "out/streams").glob("app.log.*"), key=lambda path: path.stat().st_mtime)[:-5]
    for path in [*old, *(export / "in").rglob("*.conflict-*")]:
        path.unlink(missing_ok=True)


def _watches(fdinfo: Path) -> int:
    try:
        return fdinfo.read_text().count("inotify wd:")
    except FileNotFoundError:
        return 0


def _plot(values: list[float], width: int = 72) -> str:
    step = max(1, len(values) // width)
    means = [statistics.mean(values[start : start + step]) for start in range(0, len(values), step)]
    most = max(means) or 1.0
    return "".join(_BARS[min(7, int(mean / most * 7.99))] for mean in means) + f"  most {max(values):.0f}"


def main() -> int:
    """Soak, write the page, and say whether something grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--report", type=Path, default=REPORT)
    asked = parser.parse_args()
    with S3Server() as server, tempfile.TemporaryDirectory(prefix="soak-") as directory:
        samples = soak(server, Path(directory), asked.minutes * 60)
    found = grown(samples)
    verdict = f"Grown: {found}." if found else "Nothing grew: memory, descriptors, threads and watches stayed level."
    asked.report.write_text(report(samples, verdict))
    print(verdict)  # noqa: T201 - a command line prints
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
